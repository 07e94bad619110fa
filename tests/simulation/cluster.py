"""What stands around the engine in the simulation: programs that count words, a volume, and a store that fails."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from apollo_common.assignment import Split
from apollo_common.ids import AttemptId, TaskId
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.model import Job, Task, TaskKind
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.order import (
    AttemptDone,
    AttemptFailed,
    AttemptOrder,
    AttemptProgress,
    AttemptReport,
    AttemptStarted,
    OutputTarget,
)
from apollo_coordinator.pools.memory import MemoryWorker
from apollo_coordinator.store.memory import MemoryInput, MemoryOutput
from simulation.faults import Faults

WORDS = ("ash", "birch", "cedar", "elm", "fir", "oak", "pine", "yew")


def words_of(split: Split) -> list[str]:
    """The records of a made-up split: its place in the file chooses them."""
    offset = split.pieces[0].offset
    return [WORDS[(offset * 7 + n * n) % len(WORDS)] for n in range(offset % 11 + 3)]


def partition_of(word: str, partitions: int) -> int:
    return len(word) % partitions


def oracle(spec: JobSpec, splits: Sequence[Split]) -> dict[str, bytes]:
    """The published parts, computed by one loop in one process: url -> content."""
    if spec.n_reducers == 0:
        return {
            f"{spec.output_path}/part-m-{index:05d}": " ".join(words_of(split)).encode()
            for index, split in enumerate(splits)
        }
    parts: list[list[str]] = [[] for _ in range(spec.n_reducers)]
    for split in splits:
        for word in words_of(split):
            parts[partition_of(word, spec.n_reducers)].append(word)
    return {f"{spec.output_path}/part-r-{index:05d}": _reduced(words).encode() for index, words in enumerate(parts)}


def _reduced(words: list[str]) -> str:
    """Counts per word, with the words in the order they arrived in: a reduce that sees another order shows it."""
    return f"{sorted(Counter(words).items())} {' '.join(words)}"


class Cluster:
    """Runs attempts in place of real programs, and remembers what they wrote."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.volume: dict[str, list[list[str]]] = {}  # by map output path, the words per partition
        self.uploaded: dict[str, bytes] = {}  # by upload id
        self.slow: set[str] = set()
        self.failed_programs = 0

    async def program(self, worker: str, order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        yield AttemptStarted()
        steps = self.faults.random.randrange(1, 4)
        for step in range(steps):
            await asyncio.sleep(self.faults.random.uniform(0.01, 2.0) * (10 if worker in self.slow else 1))
            yield AttemptProgress(step, steps, {"apollo": {"input_records": step}})
        if self.faults.meets("failing_program", 0.05):
            self.failed_programs += 1
            yield AttemptFailed("program_exited", "the program exited with status 1", retryable=True, exit_status=1)
        elif order.task.kind is TaskKind.REDUCE:
            yield self._reduce(order)
        else:
            yield self._map(order)

    def _map(self, order: AttemptOrder) -> AttemptReport:
        assert order.task.split is not None
        words = words_of(order.task.split)
        counters = {"apollo": {"input_records": len(words)}}
        if order.output is not None:
            self.uploaded[order.output.upload_id] = " ".join(words).encode()
            return AttemptDone(counters)
        partitions: list[list[str]] = [[] for _ in range(order.spec.n_reducers)]
        for word in words:
            partitions[partition_of(word, order.spec.n_reducers)].append(word)
        self.volume[order.output_path] = partitions
        return AttemptDone(counters)

    def _reduce(self, order: AttemptOrder) -> AttemptReport:
        words: list[str] = []
        for ref in order.map_outputs:
            if ref.path not in self.volume or self.faults.meets("lost_map_output", 0.02):
                self.volume.pop(ref.path, None)
                return AttemptFailed(
                    "fetch_failed",
                    f"{ref.path} cannot be read",
                    retryable=True,
                    lost_map_task=TaskId(ref.task),
                    lost_map_attempt=AttemptId(ref.attempt),
                )
            words += self.volume[ref.path][order.task.index]
        assert order.output is not None
        self.uploaded[order.output.upload_id] = _reduced(words).encode()
        return AttemptDone({"apollo": {"reduce_input_groups": len(set(words))}})


class WatchedWorker(MemoryWorker):
    """Notes every order that a worker must never get."""

    def __init__(self, name: str, cluster: Cluster) -> None:
        super().__init__(name, lambda order: cluster.program(name, order))
        self.violations: list[str] = []
        self.given_up = False

    async def run(self, order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        if self.busy_with is not None and self.reachable:
            self.violations.append(f"{self.id} got {order.attempt_id} while it runs {self.busy_with}")
        if self.given_up:
            self.violations.append(f"{self.id} got {order.attempt_id} after it was released")
        async for report in super().run(order):
            yield report


class FlakyInput(MemoryInput):
    def __init__(self, faults: Faults, inputs: dict[str, list[Split]]) -> None:
        super().__init__(inputs)
        self._faults = faults

    async def plan(self, spec: JobSpec, access: StorageAccess) -> Sequence[Split]:
        await asyncio.sleep(self._faults.random.uniform(0, 0.5))
        self.mishaps.plan(self._faults.outage())
        return await super().plan(spec, access)


class FlakyOutput(MemoryOutput):
    """Calls fail before they do anything, or after they have done it."""

    def __init__(self, faults: Faults, cluster: Cluster) -> None:
        super().__init__()
        self._faults = faults
        self._cluster = cluster
        self.content: dict[str, bytes] = {}  # what readers see

    async def open_part(self, job: Job, task: Task, attempt: AttemptId, access: StorageAccess) -> OutputTarget:
        await asyncio.sleep(self._faults.random.uniform(0, 0.2))
        self.open_mishaps.plan(self._faults.outage())
        target = await super().open_part(job, task, attempt, access)
        self._may_lose_the_answer()
        return target

    async def commit(self, job: Job, access: StorageAccess) -> None:
        for task in job.output_tasks:
            await asyncio.sleep(self._faults.random.uniform(0, 0.3))
            self.commit_mishaps.plan(self._faults.outage())
            self.commit_mishaps.meet()
            assert task.output is not None
            self.content[task.output.url] = self._cluster.uploaded[task.output.upload_id]
            self._may_lose_the_answer()
        await super().commit(job, access)
        self._may_lose_the_answer()

    def _may_lose_the_answer(self) -> None:
        lost = self._faults.lost_answer()
        if lost is not None:
            raise lost
