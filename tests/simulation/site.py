"""One world: a journal, a store, a volume and workers, with the faults that a seed plays against them."""

import asyncio
import functools
import random
from collections import Counter
from collections.abc import Mapping, Sequence

from apollo_common.assignment import Split
from apollo_common.errors import ObjectNotFound, StorageUnavailable, VolumeFull
from apollo_common.ids import AttemptId
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.order import BadRecord
from apollo_coordinator.pools.memory import MemoryPool
from apollo_coordinator.store.commit import StoredOutput
from apollo_coordinator.store.memory import MemoryBadRecords, MemoryInput
from simulation.cluster import Cluster
from simulation.engine_under_watch import WatchedEngine
from simulation.faults import Faults
from simulation.fleet import Fleet, PoolKind, SimulatedPool
from simulation.journal import MortalJournal
from simulation.store import FaultyStore
from support.engine import Site


class FaultyInput(MemoryInput):
    def __init__(self, faults: Faults, inputs: Mapping[str, list[Split]]) -> None:
        super().__init__(dict(inputs))
        self._faults = faults

    async def plan(self, spec: JobSpec, access: StorageAccess) -> Sequence[Split]:
        await asyncio.sleep(self._faults.seconds(0.5))
        if self._faults.meets("call_hangs"):
            await asyncio.sleep(self._faults.seconds(60.0))
        if self._faults.meets("call_fails"):
            raise StorageUnavailable("the store does not answer")
        if self._faults.meets("refused_input"):
            raise ObjectNotFound("the input is gone")
        return await super().plan(spec, access)


class FaultyQuarantine(MemoryBadRecords):
    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    async def put(self, attempt: AttemptId, record: BadRecord) -> None:
        if self._faults.meets("full_quarantine"):
            raise VolumeFull("no space is left on the coordinator's volume")
        await super().put(attempt, record)


class SimulatedSite(Site):
    def __init__(
        self, faults: Faults, inputs: Mapping[str, list[Split]], kind: PoolKind, capacity: int, seed: object
    ) -> None:
        self.faults = faults
        self.seen: Counter[str] = Counter()
        self.defects: list[Exception] = []
        journal = MortalJournal(random.Random(f"journal {seed}"))
        self.store = FaultyStore(faults)
        self.cluster = Cluster(faults, journal, self.store)
        self.fleet = Fleet(self.cluster, kind, capacity)
        super().__init__(journal=journal)
        self.input = FaultyInput(faults, inputs)
        self.output = StoredOutput(self.store)
        self.intermediate = self.cluster
        self.bad_records = FaultyQuarantine(faults)
        self.make_engine = functools.partial(
            WatchedEngine, faults=faults, journal=journal, seen=self.seen, defects=self.defects
        )

    def make_pool(self) -> MemoryPool:
        return SimulatedPool(self.fleet)

    async def close(self) -> None:
        await self.fleet.close()
