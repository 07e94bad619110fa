"""Workers in this process, for tests and the simulation: they run a function in place of a program.

A MemoryWorker outlives the coordinator that speaks with it, as real ones do, so a second pool over the same workers
plays a restart.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from apollo_common.errors import ObjectNotFound, WorkerBusy, WorkerDrained, WorkerUnreachable
from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_common.lifecycle import TaskOwner
from apollo_common.storage.port import AttemptAccess
from apollo_coordinator.core.pod_overrides import PodOverrides
from apollo_coordinator.order import (
    AttemptCancelled,
    AttemptDone,
    AttemptFailed,
    AttemptOrder,
    AttemptReport,
    WorkerDescription,
)
from apollo_coordinator.ports import PoolEvent, WorkerGone, WorkerUp

Program = Callable[[AttemptOrder], AsyncIterator[AttemptReport]]

_ENDS = (AttemptDone, AttemptFailed, AttemptCancelled)


@dataclass(eq=False)
class _Run:
    """An attempt as its worker remembers it."""

    attempt: AttemptId
    reports: list[AttemptReport] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    task: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        return bool(self.reports) and isinstance(self.reports[-1], _ENDS)

    async def report(self, report: AttemptReport) -> None:
        async with self.news:
            if not self.ended:
                self.reports.append(report)
            self.news.notify_all()


class MemoryWorker:
    """One attempt at a time; remembers the last. Also its own WorkerLink."""

    def __init__(self, name: str, program: Program, *, job: JobId | None = None) -> None:
        self.id = WorkerId(name)
        self.job = job
        self.installed: set[str] = set()
        self.renewals: list[AttemptAccess] = []
        self.reachable = True
        self.draining = False
        self._program = program
        self._last: _Run | None = None
        self._tasks = TaskOwner()

    @property
    def busy_with(self) -> AttemptId | None:
        return self._last.attempt if self._last is not None and not self._last.ended else None

    async def run(self, order: AttemptOrder) -> AsyncGenerator[AttemptReport, None]:
        self._require_reachable()
        if self.draining:
            raise WorkerDrained(f"worker {self.id} was told to end")
        if self.busy_with is not None:
            raise WorkerBusy(f"worker {self.id} runs {self.busy_with}")
        run = _Run(order.attempt_id)
        self._last = run
        run.task = self._tasks.spawn(self._perform(run, order), name=f"memory attempt {run.attempt}")
        async for report in self._listen(run):
            yield report

    async def attach(self, attempt: AttemptId) -> AsyncGenerator[AttemptReport, None]:
        self._require_reachable()
        if self._last is None or self._last.attempt != attempt:
            raise ObjectNotFound(f"worker {self.id} does not know attempt {attempt}")
        async for report in self._listen(self._last):
            yield report

    async def cancel(self, attempt: AttemptId, reason: str) -> None:  # noqa: ARG002 - the port's signature
        self._require_reachable()
        run = self._last
        if run is not None and run.attempt == attempt and not run.ended:
            if run.task is not None:
                run.task.cancel()
            await run.report(AttemptCancelled())

    async def describe(self) -> WorkerDescription:
        self._require_reachable()
        installed = frozenset(self.installed)
        return WorkerDescription(self.id, "memory", self.busy_with or "", installed, draining=self.draining)

    async def renew(self, attempt: AttemptId, access: AttemptAccess) -> None:
        self._require_reachable()
        if self.busy_with == attempt:
            self.renewals.append(access)

    async def install(self, digest: str, content: Path) -> None:  # noqa: ARG002 - the port's signature
        self._require_reachable()
        self.installed.add(digest)

    async def close(self) -> None:
        await self._tasks.close()

    async def hand_back(self) -> None:
        """As SIGTERM does when the time to finish is over."""
        self.draining = True
        run = self._last
        if run is not None and not run.ended:
            if run.task is not None:
                run.task.cancel()
            await run.report(AttemptCancelled(handed_back=True))

    async def kill(self) -> None:
        """As kill -9 does: no report, no end, every stream broken."""
        await self._tasks.close()
        await self.cut_off()

    async def cut_off(self) -> None:
        """As a broken network does: every stream breaks, but the program goes on and nobody hears of it."""
        self.reachable = False
        if self._last is not None:
            async with self._last.news:
                self._last.news.notify_all()

    async def _perform(self, run: _Run, order: AttemptOrder) -> None:
        async for report in self._program(order):
            await run.report(report)

    async def _listen(self, run: _Run) -> AsyncGenerator[AttemptReport, None]:
        heard = 0
        while True:
            async with run.news:
                while heard == len(run.reports) and self.reachable:
                    await run.news.wait()
            self._require_reachable()
            report = run.reports[heard]
            heard += 1
            yield report
            if isinstance(report, _ENDS):
                return

    def _require_reachable(self) -> None:
        if not self.reachable:
            raise WorkerUnreachable(f"worker {self.id} does not answer")


class MemoryPool:
    """A pool over workers that the test adds and removes. Notes what the engine asks for."""

    def __init__(self, workers: list[MemoryWorker] | None = None) -> None:
        self.tells_ends = False
        self.adopts_at_start = False
        self.workers = {worker.id: worker for worker in workers or []}
        self.wanted: dict[JobId | None, int] = {}
        self.released: list[WorkerId] = []
        self._listener: Callable[[PoolEvent], None] | None = None

    async def start(self, listener: Callable[[PoolEvent], None]) -> None:
        self._listener = listener
        for worker in self.workers.values():
            self._announce(worker)

    async def scale(
        self,
        job: JobId | None,
        workers: int,
        pods: PodOverrides | None = None,  # noqa: ARG002 - the port's signature
    ) -> None:
        self.wanted[job] = workers

    async def release(self, worker: WorkerId, reason: str = "") -> None:
        self.released.append(worker)
        self.remove(worker, reason or "released by the coordinator")

    def link(self, worker: WorkerId) -> MemoryWorker:
        try:
            return self.workers[worker]
        except KeyError:
            raise WorkerUnreachable(f"worker {worker} is gone") from None

    async def close(self) -> None:
        self._listener = None

    def tell(self, event: PoolEvent) -> None:
        if self._listener is not None:
            self._listener(event)

    def add(self, worker: MemoryWorker) -> None:
        self.workers[worker.id] = worker
        self._announce(worker)

    def remove(self, worker: WorkerId, reason: str, fault: str = "") -> None:
        if self.workers.pop(worker, None) is not None:
            self.tell(WorkerGone(worker, reason, fault))

    def _announce(self, worker: MemoryWorker) -> None:
        self.tell(WorkerUp(worker.id, f"memory:{worker.id}", worker.job))
