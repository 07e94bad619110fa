"""Workers that go away, come back, hang and drag, seen over a network that is late and breaks."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from apollo_common.errors import WorkerUnreachable
from apollo_common.ids import AttemptId, JobId
from apollo_coordinator.order import AttemptOrder, AttemptReport, WorkerDescription
from apollo_coordinator.pools.memory import MemoryWorker
from simulation.cluster import Cluster, Habits

ROUND_TRIP_SECONDS = 0.05
SILENCE_SECONDS = 20.0
LATE_SECONDS = 10.0


class SimulatedWorker(MemoryWorker):
    """One worker under one name. `again` is the same process, met again under another."""

    def __init__(self, name: str, cluster: Cluster, *, job: JobId | None = None, habits: Habits | None = None) -> None:
        self.habits = habits or Habits()
        super().__init__(name, lambda order: cluster.program(self.habits, order), job=job)
        self.cluster = cluster
        self.hung = False
        self.given_up = False
        self.renamed = False

    def again(self, name: str) -> "SimulatedWorker":
        self.renamed = True
        other = SimulatedWorker(name, self.cluster, job=self.job, habits=self.habits)
        other._last, other._tasks = self._last, self._tasks
        return other

    @property
    def at_work(self) -> bool:
        """Whether a program runs here, whoever hears of it."""
        task = self._last.task if self._last is not None else None
        return task is not None and not task.done()

    def wake(self) -> None:
        self.hung = False

    async def run(self, order: AttemptOrder) -> AsyncGenerator[AttemptReport, None]:
        if self.given_up:
            self.cluster.violations.append(f"{self.id} got {order.attempt_id} after it was given up")
        await self._travel()
        self.cluster.check_order(self.id, order, self.busy_with)
        async with aclosing(self._heard(super().run(order))) as reports:
            async for report in reports:
                yield report

    async def attach(self, attempt: AttemptId) -> AsyncGenerator[AttemptReport, None]:
        await self._travel()
        async with aclosing(self._heard(super().attach(attempt))) as reports:
            async for report in reports:
                yield report

    async def cancel(self, attempt: AttemptId, reason: str) -> None:
        await self._travel()
        if self.cluster.faults.meets("lost_cancel"):
            raise WorkerUnreachable("the cancel did not get through")
        await super().cancel(attempt, reason)

    async def describe(self) -> WorkerDescription:
        await self._travel()
        return await super().describe()

    async def _travel(self) -> None:
        await asyncio.sleep(self.cluster.faults.seconds(ROUND_TRIP_SECONDS))
        await self._be_silent()

    async def _heard(self, stream: AsyncGenerator[AttemptReport, None]) -> AsyncGenerator[AttemptReport, None]:
        """A worker's reports, as they come over the network."""
        faults = self.cluster.faults
        async with aclosing(stream):
            async for report in stream:
                await self._be_silent()
                if faults.meets("late_report"):
                    await asyncio.sleep(faults.seconds(LATE_SECONDS))
                if faults.meets("broken_stream"):
                    raise WorkerUnreachable("the stream broke")
                yield report

    async def _be_silent(self) -> None:
        """While it hangs nothing is heard of it, until its silence has lasted too long."""
        waited = 0.0
        while self.hung:
            await asyncio.sleep(1.0)
            waited += 1.0
            if waited >= SILENCE_SECONDS:
                raise WorkerUnreachable(f"worker {self.id} is silent")
