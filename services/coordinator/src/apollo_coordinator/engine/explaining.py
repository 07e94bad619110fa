"""Explains jobs while they go on."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from apollo_common.ids import JobId
from apollo_coordinator.core.explanation.explain import explain
from apollo_coordinator.core.explanation.findings import Line
from apollo_coordinator.core.explanation.seen import Look
from apollo_coordinator.core.model import Job, JobStatus
from apollo_coordinator.ports import Clock

TASKS_AT_ONCE: Final = 500
"""Looked at before the event loop goes on: a few milliseconds."""

KEPT_MS: Final = 2_000
"""So long an explanation does for everybody who asks for it: many may look at one job's page."""


class _Known(NamedTuple):
    job: JobId
    status: JobStatus
    at_ms: int
    lines: Sequence[Line]


class Explainer:
    """One job at a time, for it may have as many tasks as there may be.

    Tasks are looked at on the event loop, where they change; what they come to is found out beside it.
    """

    def __init__(self, with_tasks: Callable[[JobId], Awaitable[Job]], clock: Clock, *, worker_cap: int) -> None:
        self._with_tasks = with_tasks
        self._clock = clock
        self._worker_cap = worker_cap
        self._explaining = asyncio.Lock()
        self._last: _Known | None = None

    async def explain(self, job: JobId) -> Sequence[Line]:
        """UnknownJob."""
        async with self._explaining:
            found = await self._with_tasks(job)
            if (known := self._known(found)) is not None:
                return known
            status, look = found.status, Look(found, worker_cap=self._worker_cap, now_ms=self._clock.now_ms())
            while look.go_on(TASKS_AT_ONCE):  # noqa: ASYNC110 - nothing is waited for; others have their turn
                await asyncio.sleep(0)
            lines = await asyncio.to_thread(lambda: explain(look.seen()))
            self._last = _Known(job, status, self._clock.now_ms(), lines)
            return lines

    def _known(self, job: Job) -> Sequence[Line] | None:
        """What is true yet."""
        last = self._last
        if last is None or (last.job, last.status) != (job.id, job.status):
            return None
        return last.lines if self._clock.now_ms() - last.at_ms < KEPT_MS else None
