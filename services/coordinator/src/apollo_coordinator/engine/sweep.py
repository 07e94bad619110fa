"""What dead jobs left behind while nobody could clean up after them. Runs beside the jobs, after the start and again:
a worker that was given up may finish an upload long after its job has ended.

A job that the state knows is safe: it is there before anything of it is written anywhere.
"""

import asyncio
from collections.abc import Awaitable, Callable

from apollo_common.errors import ApolloError
from apollo_common.ids import JobId
from apollo_common.logging import get_logger
from apollo_coordinator.core.state import State
from apollo_coordinator.engine.ports import EnginePorts

MARKS_TOLD = 10

_log = get_logger(__name__)


class Sweeper:
    """Each place by itself: one that cannot be swept is logged and waits for the next time."""

    def __init__(self, ports: EnginePorts, state: State, *, every_seconds: float) -> None:
        self._ports = ports
        self._state = state
        self._every_seconds = every_seconds
        self._told: list[str] = []

    async def run(self) -> None:
        """Until it is cancelled."""
        await _swept("expired jobs", self._ports.journal.sweep)
        while True:
            await _swept("logs", self._logs)
            await _swept("intermediate data", self._intermediate)
            await asyncio.sleep(self._every_seconds)

    async def _logs(self) -> int:
        """Lines that came when their job was forgotten already."""
        count = 0
        for job in await self._ports.logs.jobs():
            if job not in self._state.jobs:
                await self._ports.logs.forget(job)
                count += 1
        return count

    async def _intermediate(self) -> int:
        """Map outputs that a worker wrote after its job was cleaned up, and those of jobs that nobody knows."""
        found = await self._ports.intermediate.jobs()
        strangers = [job for job in found if job not in self._state.jobs]
        if strangers and (others := await self._ports.intermediate.others()):
            self._tell(len(strangers), others)
            strangers = []
        count = 0
        for job in (*strangers, *(job for job in found if self._has_left(job))):
            await self._ports.intermediate.remove(job)
            count += 1
        return count

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
    except ApolloError as error:
        _log.warning("not all was swept", what=what, reason=error.reason, error=str(error))
    else:
        if count:
            _log.info("swept what dead jobs had left", what=what, jobs=count)
