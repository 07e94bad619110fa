"""Whole jobs on the engine with memory adapters and virtual time: faults, restarts, then calm until every job ended."""

import asyncio
import hashlib
import random
from contextlib import suppress

from apollo_common.backoff import Backoff
from apollo_common.errors import ApolloError
from apollo_common.ids import JobId
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import Job
from apollo_coordinator.engine import Engine, EngineSettings
from simulation import checks
from simulation.cluster import Cluster, FlakyInput, FlakyOutput, WatchedWorker
from simulation.faults import Faults
from support.engine import Site
from support.scheduling import a_spec, splits
from support.virtual_time import run_virtually

CALM_SECONDS = 3_600.0
LONG = Backoff(first_ms=200, limit_ms=5_000, tries=50)
SETTINGS = EngineSettings(
    limits=Limits(reattach_grace_ms=2_000, max_lost_attempts=100),
    plan_backoff=LONG,
    open_backoff=LONG,
    cleanup_backoff=LONG,
)


class EngineRun:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.faults = Faults.of(random.Random(f"faults {seed}"))
        self.cluster = Cluster(self.faults)
        self.site = Site()
        self.site.input = FlakyInput(self.faults, {f"file:///in{n}": list(splits(n)) for n in range(8)})
        self.site.output = FlakyOutput(self.faults, self.cluster)
        self.workers: list[WatchedWorker] = []
        self.to_submit = [self._spec(number) for number in range(self.random.randrange(1, 5))]
        self.made_ids = 0

    async def run(self) -> str:
        """A digest of the journal, to compare runs by."""
        lives = self.random.randrange(1, 4) if "coordinator_crash" in self.faults.enabled else 1
        for _ in range(self.random.randrange(1, 5)):
            self._new_worker()
        for _ in range(lives):
            async with self.site.coordinator(SETTINGS, make_job_id=self._make_id) as engine:
                await self._troubled_life(engine)
        self._make_peace()
        async with self.site.coordinator(SETTINGS, make_job_id=self._make_id) as engine:
            jobs = await self._calm_life(engine)
        await self.site.close()
        self._check(jobs)
        story = "\n".join(
            f"{fact.sequence} {fact.job} {fact.at_ms} {fact.kind} {fact.body}" for fact in self.site.journal.facts
        )
        return hashlib.sha256(story.encode()).hexdigest()

    def _spec(self, number: int) -> dict[str, object]:
        return {
            "input_paths": (f"file:///in{self.random.randrange(8)}",),
            "output_path": f"file:///out{number}",
            "n_reducers": self.random.choice((0, 1, 2, 4)),
            "max_workers": self.random.choice((0, 0, 2)),
            "priority": self.random.choice((0, 0, 1)),
        }

    async def _troubled_life(self, engine: Engine) -> None:
        for _ in range(self.random.randrange(3, 25)):
            await asyncio.sleep(self.random.expovariate(1.0))
            await self._submit(engine)
            await self._trouble(engine)

    async def _submit(self, engine: Engine) -> None:
        if self.to_submit:
            with suppress(ApolloError):  # the journal is full: the user tries again
                await engine.submit(a_spec(**self.to_submit[0]), None)
                self.to_submit.pop(0)

    async def _trouble(self, engine: Engine) -> None:
        self.site.journal.full = self.faults.meets("full_journal", 0.3)
        alive = [worker for worker in self.workers if worker.reachable]
        if alive and self.faults.meets("killed_worker", 0.15):
            await self._lose(self.random.choice(alive), cut_off=False)
        elif alive and self.faults.meets("cut_off_worker", 0.15):
            await self._lose(self.random.choice(alive), cut_off=True)
        elif alive and self.faults.meets("slow_worker", 0.1):
            self.cluster.slow.add(self.random.choice(alive).id)
        if len(alive) < 6 and not self.faults.meets("pool_refuses", 0.5):
            self._new_worker()
        if engine.jobs() and self.faults.meets("stop", 0.05):
            with suppress(ApolloError):
                await engine.stop(self.random.choice(engine.jobs()).id)

    async def _lose(self, worker: WatchedWorker, *, cut_off: bool) -> None:
        await (worker.cut_off() if cut_off else worker.kill())
        if self.random.random() < 0.5:  # the pool notices, or only the stream breaks
            worker.given_up = True
            self.site.pool.remove(worker.id, "the pool lost the worker")

    def _new_worker(self) -> None:
        worker = WatchedWorker(f"w{len(self.workers)}", self.cluster)
        self.workers.append(worker)
        self.site.workers.append(worker)
        self.site.pool.add(worker)

    def _make_peace(self) -> None:
        self.faults.stopped = True
        self.site.journal.full = False
        self.cluster.slow.clear()
        self._new_worker()
        self._new_worker()

    async def _calm_life(self, engine: Engine) -> list[Job]:
        while self.to_submit:
            await self._submit(engine)
        with suppress(TimeoutError):
            async with asyncio.timeout(CALM_SECONDS):
                while engine.state.queues:
                    await asyncio.sleep(1)
        return list(engine.jobs())

    def _check(self, jobs: list[Job]) -> None:
        checks.every_job_ended(jobs)
        checks.output_is_exact(jobs, self.site.output)
        checks.failures_have_a_cause(jobs, self.cluster)
        checks.one_attempt_is_accepted(jobs)
        checks.nothing_runs_twice_or_too_late(self.workers)
        checks.nothing_is_left(self.site.output, self.site.secrets.secrets)

    def _make_id(self) -> JobId:
        self.made_ids += 1
        return JobId(f"job{self.made_ids}")


def run(seed: int) -> str:
    async def main() -> str:
        return await EngineRun(seed).run()

    return run_virtually(main())
