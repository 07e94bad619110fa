"""The engine on memory adapters, for tests. A `Site` is what survives a coordinator: journal, stores and workers."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from apollo_common.backoff import Backoff
from apollo_common.ids import JobId, new_job_id
from apollo_coordinator.core import invariants
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import Job
from apollo_coordinator.engine import Engine, EnginePorts, EngineSettings
from apollo_coordinator.order import AttemptDone, AttemptOrder, AttemptProgress, AttemptReport, AttemptStarted
from apollo_coordinator.pools.memory import MemoryPool, MemoryWorker, Program
from apollo_coordinator.store.memory import (
    MemoryBadRecords,
    MemoryInput,
    MemoryIntermediateStore,
    MemoryJournal,
    MemoryLogStore,
    MemoryOutput,
    MemorySecretStore,
)
from support.scheduling import a_spec, splits

_FAST = Backoff(first_ms=1, limit_ms=2)
QUICK = EngineSettings(
    limits=Limits(retry_delay_ms=1, reattach_grace_ms=100),
    tick_ms=5,
    progress_interval_ms=5,
    journal_backoff=_FAST,
    access_backoff=_FAST,
    quarantine_backoff=_FAST,
    plan_backoff=Backoff(first_ms=1, limit_ms=2, tries=3),
    open_backoff=Backoff(first_ms=1, limit_ms=2, tries=3),
    commit_backoff=_FAST,
)
"""Retries within milliseconds, and gives up reading and opening after three tries."""


class LoopClock:
    """The event loop's own time, so that virtual time moves it too."""

    def now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


class NoArtifacts:
    """Enough of an ArtifactStore for jobs of built-in programs."""

    def path(self, digest: str) -> Path:
        return Path(digest)


async def succeed(order: AttemptOrder) -> AsyncIterator[AttemptReport]:
    yield AttemptStarted()
    yield AttemptDone({"apollo": {"input_records": 10}})


def hang_on(*attempts: str) -> Program:
    """A program that hangs in these attempts."""

    async def program(order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        if order.attempt_id.split("-", 1)[1] in attempts:
            yield AttemptProgress(5, 10, {"apollo": {"input_records": 5}}, "halfway")
            await asyncio.Event().wait()
        async for report in succeed(order):
            yield report

    return program


class Site:
    def __init__(self, *, journal=None) -> None:
        self.journal = journal or MemoryJournal()
        self.input = MemoryInput({"file:///in": list(splits(3))})
        self.output = MemoryOutput()
        self.intermediate = MemoryIntermediateStore()
        self.secrets = MemorySecretStore()
        self.logs = MemoryLogStore()
        self.bad_records = MemoryBadRecords()
        self.clock = LoopClock()
        self.workers: list[MemoryWorker] = []
        self.make_engine: Callable[..., Engine] = Engine
        self.pool = self.make_pool()

    def make_pool(self) -> MemoryPool:
        """As the next coordinator finds it."""
        return MemoryPool([worker for worker in self.workers if worker.reachable])

    def add_workers(self, count: int, program: Program = succeed) -> None:
        for _ in range(count):
            worker = MemoryWorker(f"w{len(self.workers)}", program)
            self.workers.append(worker)
            self.pool.add(worker)

    @asynccontextmanager
    async def coordinator(
        self, settings: EngineSettings | None = None, make_job_id: Callable[[], JobId] = new_job_id
    ) -> AsyncIterator[Engine]:
        """An engine that runs. Leaving the block is a crash for everything but the workers."""
        self.pool = self.make_pool()
        engine = self.make_engine(
            engine_ports(self),
            settings,
            jitter=random.Random(1),
            make_job_id=make_job_id,
        )
        try:
            await engine.start()
            yield engine
            invariants.check(engine.state)
        finally:
            await engine.close()
            await self.pool.close()

    async def close(self) -> None:
        for worker in self.workers:
            await worker.close()


def engine_ports(site: Site) -> EnginePorts:
    return EnginePorts(
        journal=site.journal,
        pool=site.pool,
        planner=site.input,
        committer=site.output,
        intermediate=site.intermediate,
        artifacts=NoArtifacts(),
        logs=site.logs,
        bad_records=site.bad_records,
        secrets=site.secrets,
        clock=site.clock,
    )


async def submit(engine: Engine, **spec) -> JobId:
    return (await engine.submit(a_spec(**spec), None)).job.id


async def ended(engine: Engine, job: JobId) -> Job:
    """The job, once its story is told to the end."""
    async for _ in engine.events(job):
        pass
    return engine.job(job)


async def until(holds: Callable[[], object]) -> None:
    """Wait for what has no event of its own."""
    while not holds():
        await asyncio.sleep(0.001)
