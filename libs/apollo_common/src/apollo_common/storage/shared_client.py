"""A library's client with its users: it is closed when it is retired and nobody uses it any more."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Self

from apollo_common.lifecycle import to_the_end


class SharedClient:
    def __init__(self, client: Any, resource: AbstractAsyncContextManager[Any]) -> None:
        self._client = client
        self._resource = resource
        self._users = 0
        self._retired = False
        self.closed = False

    @classmethod
    async def open(cls, resource: AbstractAsyncContextManager[Any]) -> Self:
        return cls(await resource.__aenter__(), resource)

    @asynccontextmanager
    async def used(self) -> AsyncIterator[Any]:
        """The client, which stays open so long."""
        self._users += 1
        try:
            yield self._client
        finally:
            self._users -= 1
            if self._retired and not self._users:
                await self.close()

    async def retire(self) -> None:
        """Close it as soon as nobody uses it."""
        self._retired = True
        if not self._users:
            await self.close()

    async def close(self) -> None:
        """Whoever uses it."""
        if not self.closed:
            self.closed = True
            await to_the_end(self._close())

    async def _close(self) -> None:
        await self._resource.__aexit__(None, None, None)
