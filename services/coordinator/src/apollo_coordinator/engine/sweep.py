"""What dead jobs left behind while nobody could clean up after them. Runs beside the jobs, after the start and again:
a worker that was given up may finish an upload long after its job has ended.

A job that the state knows is safe: it is there before anything of it is written anywhere.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from apollo_common.errors import ApolloError
from apollo_common.ids import JobId
from apollo_common.logging import get_logger
from apollo_coordinator.core.state import State
from apollo_coordinator.engine.ports import EnginePorts

MARKS_TOLD = 10

_log = get_logger(__name__)


class Sweeper:
    """Each place by itself, and in it each job: what cannot be swept is logged and waits for the next time."""

    def __init__(
        self, ports: EnginePorts, state: State, *, keeps_secrets: Callable[[JobId], bool], every_seconds: float
    ) -> None:
        """`keeps_secrets`: whether a job needs what it has in the SecretStore, or is about to."""
        self._ports = ports
        self._state = state
        self._keeps_secrets = keeps_secrets
        self._every_seconds = every_seconds
        self._told: list[str] = []

    async def run(self) -> None:
        """Until it is cancelled."""
        await _swept("expired jobs", self._ports.journal.sweep)
        while True:
            await _swept("logs", self._logs)
            await _swept("bad records", self._bad_records)
            await _swept("intermediate data", self._intermediate)
            await asyncio.sleep(self._every_seconds)
            await _swept("secrets", self._secrets)  # at the start the engine has done it before jobs could come

    async def _secrets(self) -> int:
        """What a call that was under way when its job ended has made again behind the clean-up."""
        return await self._ports.secrets.sweep(self._keeps_secrets)

    async def _logs(self) -> int:
        """Lines that came when their job was forgotten already."""
        unknown = [job for job in await self._ports.logs.jobs() if job not in self._state.jobs]
        return await _removed("logs", unknown, self._ports.logs.forget)

    async def _bad_records(self) -> int:
        """Those of jobs that were forgotten when a crash came."""
        unknown = [job for job in await self._ports.bad_records.jobs() if job not in self._state.jobs]
        return await _removed("bad records", unknown, self._ports.bad_records.forget)

    async def _intermediate(self) -> int:
        """Map outputs that a worker wrote after its job was cleaned up, and those of jobs that nobody knows."""
        found = await self._ports.intermediate.jobs()
        strangers = [job for job in found if job not in self._state.jobs]
        if strangers and (others := await self._ports.intermediate.others()):
            self._tell(len(strangers), others)
            strangers = []
        left = [job for job in found if self._has_left(job)]
        return await _removed("intermediate data", (*strangers, *left), self._ports.intermediate.remove)

    def _tell(self, strangers: int, others: list[str]) -> None:
        """Once for each set of neighbours: they may be there for good reason."""
        if others != self._told:
            self._told = others
            _log.warning(
                "intermediate data of unknown jobs stays: another coordinator has used the place. "
                "If it will never come back, delete its mark",
                jobs=strangers,
                marks=others[:MARKS_TOLD],
            )

    def _has_left(self, job: JobId) -> bool:
        known = self._state.jobs.get(job)
        return known is not None and job not in self._state.queues and not known.spec.keep_intermediate


async def _swept(what: str, work: Callable[[], Awaitable[int]]) -> None:
    try:
        count = await work()
    except Exception as error:  # noqa: BLE001 - a sick volume or a defect in one look must not be the last
        _log.warning("not all was swept", what=what, error=str(error), exc_info=_defect(error))
    else:
        if count:
            _log.info("swept what dead jobs had left", what=what, jobs=count)


async def _removed(what: str, jobs: Iterable[JobId], remove: Callable[[JobId], Awaitable[None]]) -> int:
    """How many went. One that stays keeps no other from it; of all that do, the first is told."""
    count = 0
    stay: list[tuple[JobId, Exception]] = []
    for job in jobs:
        try:
            await remove(job)
        except Exception as error:  # noqa: BLE001 - as above
            stay.append((job, error))
        else:
            count += 1
    if stay:
        first, why = stay[0]
        _log.warning("not all was swept", what=what, jobs=len(stay), first=first, error=str(why), exc_info=_defect(why))
    return count


def _defect(error: Exception) -> Exception | None:
    """What only a traceback explains."""
    return None if isinstance(error, ApolloError | OSError) else error
