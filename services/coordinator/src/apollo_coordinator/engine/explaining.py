"""Explains jobs while they go on."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from apollo_common.ids import JobId
from apollo_coordinator.core.explanation.explain import explain
from apollo_coordinator.core.explanation.findings import Line
from apollo_coordinator.core.explanation.seen import Look
from apollo_coordinator.core.model import Job
from apollo_coordinator.ports import Clock

TASKS_AT_ONCE: Final = 500
"""Looked at before the event loop goes on: a few milliseconds."""


class Explainer:
    """One job at a time, for it may have as many tasks as there may be.

    Tasks are looked at on the event loop, where they change; what they come to is found out beside it.
    """

    def __init__(self, with_tasks: Callable[[JobId], Awaitable[Job]], clock: Clock, *, worker_cap: int) -> None:
        self._with_tasks = with_tasks
        self._clock = clock
        self._worker_cap = worker_cap
        self._explaining = asyncio.Lock()

    async def explain(self, job: JobId) -> Sequence[Line]:
        """UnknownJob."""
        async with self._explaining:
            look = Look(await self._with_tasks(job), worker_cap=self._worker_cap, now_ms=self._clock.now_ms())
            while look.go_on(TASKS_AT_ONCE):  # noqa: ASYNC110 - nothing is waited for; others have their turn
                await asyncio.sleep(0)
            return await asyncio.to_thread(lambda: explain(look.seen()))
