"""Several authenticators as one."""

from collections.abc import Sequence

from apollo_coordinator.callers import Authenticator, Caller


class FirstThatKnows:
    """Asks one after the other: put those that answer at once first."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)

    async def authenticate(self, token: str, remote: str = "") -> Caller | None:
        for authenticator in self._authenticators:
            if caller := await authenticator.authenticate(token, remote):
                return caller
        return None

    async def close(self) -> None:
        for authenticator in self._authenticators:
            await authenticator.close()
