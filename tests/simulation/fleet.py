"""Where simulated workers come from: three kinds of pools, which refuse, fall short and notice losses late."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from enum import StrEnum
from typing import Any

from apollo_common.errors import TemporaryError
from apollo_common.ids import JobId, WorkerId
from apollo_common.lifecycle import TaskOwner
from apollo_coordinator.core.pod_overrides import PodOverrides
from apollo_coordinator.pools.memory import MemoryPool
from apollo_coordinator.ports import PoolEvent, PoolTrouble, WorkerDraining
from simulation.cluster import Cluster
from simulation.workers import ROUND_TRIP_SECONDS, SimulatedWorker

ROUND_SECONDS = 1.0
NOTICED_CHANCE = 0.3
UNASKED_ROUNDS = 60
"""How long workers of a job that nobody has asked for since a restart are kept."""


class PoolKind(StrEnum):
    FIXED = "fixed"  # somebody else looks after the workers; a released one is met again under another name
    SHARED = "shared"  # started as they are wanted, serve any job, are not ended
    PER_JOB = "per job"  # started for one job, ended with it


class Fleet:
    """Every worker there ever was. Outlives the pools, as workers outlive their coordinator."""

    def __init__(self, cluster: Cluster, kind: PoolKind, capacity: int) -> None:
        self.cluster = cluster
        self.kind = kind
        self.capacity = capacity
        self.workers: list[SimulatedWorker] = []
        self.adrift: list[SimulatedWorker] = []  # alive, met again sooner or later
        self._evictions = TaskOwner()

    def start(self, job: JobId | None) -> SimulatedWorker:
        return self._named(SimulatedWorker(self._name(), self.cluster, job=job))

    def again(self, worker: SimulatedWorker) -> SimulatedWorker:
        return self._named(worker.again(self._name()))

    def live(self) -> list[SimulatedWorker]:
        return [worker for worker in self.workers if worker.reachable and not worker.given_up]

    async def rest(self) -> None:
        """Wait for programs that nobody waits for any more."""
        while any(worker.at_work for worker in self.workers):
            await asyncio.sleep(ROUND_SECONDS)

    def evict(self, eviction: Coroutine[Any, Any, None]) -> None:
        """It goes on when the coordinator ends meanwhile."""
        self._evictions.spawn(eviction, name="eviction")

    async def close(self) -> None:
        await self._evictions.close()
        for worker in self.workers:
            await worker.close()

    def _name(self) -> str:
        return f"w{len(self.workers)}"

    def _named(self, worker: SimulatedWorker) -> SimulatedWorker:
        self.workers.append(worker)
        return worker


class SimulatedPool(MemoryPool):
    """Keeps as many workers as are wanted and can be had. Ends with its coordinator; the workers live on."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(list(fleet.live()))
        self._fleet = fleet
        self._faults = fleet.cluster.faults
        self._rounds = 0
        self._tasks = TaskOwner()

    async def start(self, listener: Callable[[PoolEvent], None]) -> None:
        await super().start(listener)
        self._tasks.spawn(self._keep(), name="simulated pool")

    async def scale(self, job: JobId | None, workers: int, pods: PodOverrides | None = None) -> None:
        await asyncio.sleep(self._faults.seconds(ROUND_TRIP_SECONDS))
        if self._faults.meets("pool_refuses"):
            raise TemporaryError("the pool has no quota")
        await super().scale(job, workers, pods)

    async def release(self, worker: WorkerId, reason: str = "") -> None:
        await asyncio.sleep(self._faults.seconds(ROUND_TRIP_SECONDS))
        released = self.workers.get(worker)
        await super().release(worker, reason)
        if isinstance(released, SimulatedWorker):
            await self._let_go(released)

    def remove(self, worker: WorkerId, reason: str, fault: str = "") -> None:
        found = self.workers.get(worker)
        if isinstance(found, SimulatedWorker):
            found.given_up = True
        super().remove(worker, reason, fault)

    def drain(self, worker: SimulatedWorker, *, seconds: float) -> None:
        """It is evicted: it takes nothing more at once, the engine hears of that a little later, then it ends."""
        if worker.draining or worker.id not in self.workers:
            return
        worker.draining = True
        self._fleet.evict(self._evict(worker, seconds))

    async def _evict(self, worker: SimulatedWorker, seconds: float) -> None:
        await asyncio.sleep(self._faults.seconds(ROUND_TRIP_SECONDS))
        if worker.id in self.workers:
            self.tell(WorkerDraining(worker.id, "the worker was evicted"))
        await asyncio.sleep(seconds)
        await worker.hand_back()
        await asyncio.sleep(ROUND_TRIP_SECONDS)
        await worker.kill()
        self.remove(worker.id, "the worker was evicted")

    async def close(self) -> None:
        await super().close()
        await self._tasks.close()

    async def _let_go(self, worker: SimulatedWorker) -> None:
        if self._fleet.kind is PoolKind.FIXED and worker.reachable and not worker.draining:
            self._fleet.adrift.append(worker)
        else:
            await worker.kill()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            self._rounds += 1
            for worker in [worker for worker in self.workers.values() if not worker.reachable]:
                if self._faults.random.random() < NOTICED_CHANCE:
                    self.remove(worker.id, "the pool lost the worker")
            for worker in [worker for worker in self._fleet.adrift if self._faults.random.random() < NOTICED_CHANCE]:
                self._fleet.adrift.remove(worker)
                self.add(self._fleet.again(worker))
            await self._end_unwanted()
            for job in self._missing():
                if self._faults.meets("pool_refuses"):
                    self.tell(PoolTrouble(job, "the pool has no quota"))
                elif not self._faults.meets("pool_falls_short"):
                    self.add(self._fleet.start(job))

    def _missing(self) -> Iterator[JobId | None]:
        """For whom the next workers are started, one entry for each."""
        free = self._fleet.capacity - len(self.workers) - len(self._fleet.adrift)
        wishes = {job: wanted for job, wanted in self.wanted.items() if wanted}
        if self._fleet.kind is PoolKind.FIXED:
            wishes = {None: self._fleet.capacity}
        elif self._fleet.kind is PoolKind.SHARED:
            wishes = {None: sum(wishes.values())}
        for job, wanted in wishes.items():
            missing = wanted - sum(worker.job == job for worker in self.workers.values())
            for _ in range(min(missing, free)):
                free -= 1
                yield job

    async def _end_unwanted(self) -> None:
        """A job that wants no workers any more has no pods either."""
        if self._fleet.kind is not PoolKind.PER_JOB:
            return
        unasked = 0 if self._rounds > UNASKED_ROUNDS else 1
        for worker in [w for w in self.workers.values() if not self.wanted.get(w.job, unasked)]:
            self.remove(worker.id, "its job has ended")
            await worker.kill()
