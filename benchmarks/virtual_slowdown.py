"""What lost and slow workers cost one big job: the real engine and core on virtual time, at the MapReduce paper's size.

Workers are tasks of this process that sleep in place of working; how long each map and reduce takes is drawn from a
seed, the same for every scenario. Nothing is on a disk: the cost of redoing work is what shows.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

from apollo_common.assignment import Split, SplitPiece
from apollo_common.ids import JobId
from apollo_coordinator.core.model import Job, JobStatus, TaskKind
from apollo_coordinator.core.spec import JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.engine import Engine, EnginePorts
from apollo_coordinator.order import AttemptDone, AttemptOrder, AttemptProgress, AttemptReport, AttemptStarted
from apollo_coordinator.pools.memory import MemoryPool, MemoryWorker
from apollo_coordinator.ports import ArtifactStore
from apollo_coordinator.store.memory import (
    MemoryBadRecords,
    MemoryInput,
    MemoryIntermediateStore,
    MemoryJournal,
    MemoryLogStore,
    MemoryOutput,
    MemorySecretStore,
)
from support.virtual_time import run_virtually

HEARTBEAT_SECONDS = 5.0
MAP_SECONDS, REDUCE_SECONDS = 30.0, 90.0  # medians
SPREAD = 0.25  # of the logarithm
SPLIT_BYTES = 64 << 20
RESTART_SECONDS = 5.0
SLOWER_TIMES = 10
INPUT = "file:///input"


@dataclass(frozen=True, slots=True)
class Cluster:
    workers: int
    maps: int
    reduces: int


PAPER = Cluster(workers=1_746, maps=15_000, reduces=4_000)  # its sort, sections 5.3 to 5.5
QUICK = Cluster(workers=16, maps=60, reduces=16)


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    killed_share: float = 0.0  # of the workers, when 40 % of the maps are done
    restarted: bool = True
    slow_share: float = 0.0  # of the workers; at least one if above 0
    speculation: bool = True


SCENARIOS = (
    Scenario("nothing lost, nobody slow"),
    Scenario("11.5 % of the workers killed in mid-job, restarted at once", killed_share=200 / 1_746),
    Scenario("the same, not restarted", killed_share=200 / 1_746, restarted=False),
    Scenario("one worker ten times slower, no backup attempts", slow_share=1e-9, speculation=False),
    Scenario("one worker ten times slower, backup attempts", slow_share=1e-9),
    Scenario("1 % of the workers ten times slower, no backup attempts", slow_share=0.01, speculation=False),
    Scenario("1 % of the workers ten times slower, backup attempts", slow_share=0.01),
)


class JobFailed(Exception):
    """The job did not do what it was asked to."""


class VirtualRun:
    """One job on one cluster. Everything random comes from the seed."""

    def __init__(self, cluster: Cluster, scenario: Scenario, seed: int) -> None:
        self._cluster = cluster
        self._scenario = scenario
        self._seed = seed
        slow = max(1, int(cluster.workers * scenario.slow_share)) if scenario.slow_share else 0
        chosen = random.Random(seed)
        names = [f"w{number}" for number in range(cluster.workers)]
        self._slow = frozenset(chosen.sample(names, slow))
        self._doomed = chosen.sample(names, int(cluster.workers * scenario.killed_share))
        self._workers = {name: self._worker(name) for name in names}
        self._pool = MemoryPool(list(self._workers.values()))

    async def seconds(self) -> float:
        """From the job's start to its end, of virtual time. JobFailed."""
        no_artifacts = cast(ArtifactStore, None)  # the programs are built in
        source = MemoryInput({INPUT: [_split(index) for index in range(self._cluster.maps)]})
        engine = Engine(
            EnginePorts(
                journal=MemoryJournal(), pool=self._pool, planner=source, committer=MemoryOutput(),
                intermediate=MemoryIntermediateStore(), artifacts=no_artifacts, logs=MemoryLogStore(),
                bad_records=MemoryBadRecords(), secrets=MemorySecretStore(), clock=_LoopClock(),
            ),
            jitter=random.Random(self._seed),
            make_job_id=lambda: JobId("job"),
        )  # fmt: skip
        await engine.start()
        try:
            while len(engine.workers()) < self._cluster.workers:
                await asyncio.sleep(1)
            job = (await engine.submit(self._spec(), None)).job
            while not job.status.ended:
                await asyncio.sleep(1)
                if self._doomed and _completed_maps(engine, job.id) >= 0.4 * self._cluster.maps:
                    await self._kill()
        finally:
            await engine.close()
            for worker in self._workers.values():
                await worker.close()
        if job.status is not JobStatus.SUCCEEDED:
            raise JobFailed(f"{self._scenario.name}: the job has {job.status}: {job.failure}")
        return _lasted_seconds(job)

    def _spec(self) -> JobSpec:
        program = ProgramRef(ProgramSource.BUILTIN, "builtin:identity")
        return JobSpec(
            (INPUT,), "file:///output", program, program,
            n_reducers=self._cluster.reduces, speculation=self._scenario.speculation,
        )  # fmt: skip

    async def _kill(self) -> None:
        doomed, self._doomed = self._doomed, []
        for name in doomed:
            worker = self._workers.pop(name)
            await worker.kill()
            self._pool.remove(worker.id, "its process was killed by SIGKILL")
        if self._scenario.restarted:
            await asyncio.sleep(RESTART_SECONDS)
            for name in doomed:
                again = self._workers[f"{name}~2"] = self._worker(f"{name}~2")
                self._pool.add(again)

    def _worker(self, name: str) -> MemoryWorker:
        return MemoryWorker(name, lambda order: self._work(name, order))

    async def _work(self, worker: str, order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        yield AttemptStarted()
        usual = MAP_SECONDS if order.task.kind is TaskKind.MAP else REDUCE_SECONDS
        total_seconds = usual * random.Random(f"{self._seed} {order.task.id}").lognormvariate(0, SPREAD)
        total_seconds *= SLOWER_TIMES if worker in self._slow else 1
        left_seconds = total_seconds
        while left_seconds > HEARTBEAT_SECONDS:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            left_seconds -= HEARTBEAT_SECONDS
            yield AttemptProgress(int(SPLIT_BYTES * (1 - left_seconds / total_seconds)), SPLIT_BYTES, {})
        await asyncio.sleep(left_seconds)
        yield AttemptDone({})


class _LoopClock:
    def now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


def _split(index: int) -> Split:
    return Split((SplitPiece(INPUT, index * SPLIT_BYTES, SPLIT_BYTES, SPLIT_BYTES, "v"),))


def _completed_maps(engine: Engine, job: JobId) -> int:
    queue = engine.state.queues.get(job)
    return queue.accepted_maps if queue is not None else 0


def _lasted_seconds(job: Job) -> float:
    return ((job.ended_ms or 0) - (job.started_ms or 0)) / 1000


def run_scenario(cluster: Cluster, scenario: Scenario, seed: int) -> float:
    """Virtual seconds that the job takes."""
    return run_virtually(VirtualRun(cluster, scenario, seed).seconds())
