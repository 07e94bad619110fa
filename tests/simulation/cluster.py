"""What outlives a coordinator: the volume, the store with the outputs, and what has been seen that must never be."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from apollo_common.errors import UploadLost
from apollo_common.ids import AttemptId, JobId, TaskId
from apollo_common.key_samples import unpack_keys
from apollo_common.storage.port import Upload
from apollo_coordinator.core.model import TaskKind
from apollo_coordinator.order import (
    AttemptDone,
    AttemptFailed,
    AttemptOrder,
    AttemptProgress,
    AttemptReport,
    AttemptStarted,
    BadRecord,
)
from simulation.faults import Faults
from simulation.journal import MortalJournal
from simulation.programs import Pair, bad_records, mapped, partitioned, reduced, written
from simulation.store import FaultyStore
from support.scheduling import TIMINGS

SLOWDOWN = 10
STEP_SECONDS = 2.0
EXIT_STATUSES = (1, 1, 2, 3)
INPUT_BYTES = 10  # of every attempt, as far as its progress tells


@dataclass
class MapOutput:
    """One map attempt's directory on the volume."""

    partitions: list[list[Pair]]
    corrupt: bool = False


@dataclass
class Habits:
    """How a worker treats its programs."""

    slow: bool = False
    bad: bool = False


class Cluster:
    """Runs attempts in place of real programs, and remembers what they wrote."""

    def __init__(self, faults: Faults, journal: MortalJournal, store: FaultyStore) -> None:
        self.faults = faults
        self.journal = journal
        self.store = store
        self.volume: dict[str, MapOutput] = {}  # by path
        self.volume_full = False
        self.failed_programs: dict[TaskId, Counter[int]] = {}  # by exit status, how often
        self.unreadable: Counter[AttemptId] = Counter()  # map outputs that a reduce could not read
        self.violations: list[str] = []

    # The volume, as the coordinator's IntermediateStore

    async def remove(self, job: JobId) -> None:
        self.volume = {path: output for path, output in self.volume.items() if not path.startswith(f"{job}/")}

    async def jobs(self) -> list[JobId]:
        return list(dict.fromkeys(JobId(path.partition("/")[0]) for path in self.volume))

    async def shared(self) -> bool:
        return False

    # What workers do

    def check_order(self, worker: str, order: AttemptOrder, busy_with: AttemptId | None) -> None:
        if busy_with is not None:
            self.violations.append(f"{worker} got {order.attempt_id} while it runs {busy_with}")
        if order.attempt_id not in self.journal.started:
            self.violations.append(f"{worker} got {order.attempt_id} before its start was journaled")

    async def program(self, habits: Habits, order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        yield AttemptStarted()
        steps = self.faults.random.randrange(1, 4)
        for step in range(steps):
            await asyncio.sleep(self.faults.seconds(STEP_SECONDS) * (SLOWDOWN if habits.slow else 1))
            yield AttemptProgress(INPUT_BYTES * (step + 1) // steps, INPUT_BYTES, {"apollo": {"input_records": step}})
        bad = [] if order.task.split is None else bad_records(order.spec, order.task.split)
        if habits.bad or self.faults.meets("failing_program") or (bad and not order.max_bad_records):
            status = self.faults.random.choice(EXIT_STATUSES)
            self.failed_programs.setdefault(order.task.id, Counter())[status] += 1
            yield AttemptFailed("program_exited", "the program failed", retryable=True, exit_status=status)
        elif order.task.kind is TaskKind.REDUCE:
            yield await self._reduce(order)
        else:
            if order.task.kind is TaskKind.MAP:
                for number, content in enumerate(bad, 1):
                    yield BadRecord(
                        *(number, "file:///in", number, len(content), content),
                        line=True,
                        reason="program_exited",
                        message="the program failed",
                    )
            yield await self._map(order, len(bad))

    async def _map(self, order: AttemptOrder, skipped: int) -> AttemptReport:
        assert order.task.split is not None
        pairs = mapped(order.task.split)
        if order.task.kind is TaskKind.SAMPLE:
            sample = tuple(word.encode() for word, _ in pairs[: len(pairs) // 2])
            return AttemptDone({}, output_records=len(sample), sample_keys=sample, timings=TIMINGS)
        counters = {"apollo": {"input_records": len(pairs), "bad_records": skipped}}
        if order.output is not None:
            return await self._upload(order, written(pairs), len(pairs), counters)
        if self.volume_full:
            return _full("the intermediate volume")
        corrupt = self.faults.meets("corrupt_segment")
        splitters = unpack_keys(order.splitters) if order.spec.partitioner == "range" else None
        self.volume[order.output_path] = MapOutput(partitioned(pairs, order.spec.n_reducers, splitters), corrupt)
        return AttemptDone(counters, timings=TIMINGS)

    async def _reduce(self, order: AttemptOrder) -> AttemptReport:
        segments = []
        for ref in order.map_outputs:
            output = self.volume.get(ref.path)
            unreadable = self.faults.meets("unreadable_segment")
            if output is None or output.corrupt or unreadable:
                self.unreadable[AttemptId(ref.attempt)] += 1
                return AttemptFailed(
                    "fetch_failed",
                    f"{ref.path} cannot be read",
                    retryable=True,
                    lost_map_task=TaskId(ref.task),
                    lost_map_attempt=AttemptId(ref.attempt),
                )
            segments.append(output.partitions[order.task.index])
        groups = len({word for segment in segments for word, _ in segment})
        return await self._upload(order, reduced(segments), groups, {"apollo": {"reduce_input_groups": groups}})

    async def _upload(
        self, order: AttemptOrder, content: bytes, records: int, counters: dict[str, dict[str, int]]
    ) -> AttemptReport:
        assert order.output is not None
        if self.volume_full:
            return _full("the output's volume")
        upload = Upload(order.output.url, order.output.upload_id)
        try:
            if self.faults.meets("removed_upload"):
                await self.store.remove_upload(upload)
            part = await self.store.take_part(upload, content)
        except UploadLost as error:
            return AttemptFailed("upload_lost", str(error), retryable=True)
        if self.faults.meets("removed_finished_upload"):
            await self.store.remove_upload(upload)
        return AttemptDone(
            counters,
            parts=(part,),
            output_bytes=len(content),
            output_records=records,
            output_sha256=hashlib.sha256(content).hexdigest(),
            timings=TIMINGS,
        )


def _full(volume: str) -> AttemptFailed:
    return AttemptFailed("volume_full", f"{volume} is full", retryable=True, full_volume=volume, needed_bytes=1 << 20)
