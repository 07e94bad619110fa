"""Collects what a mapper emits and writes it as one map output: a data file and its index."""

import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apollo_common.assignment import DATA_FILE, INDEX_FILE
from apollo_common.errors import RecordTooLarge
from apollo_common.threads import in_thread
from apollo_common.timings import Step
from apollo_worker.core.budget import MIN_BUDGET_BYTES, record_limit_bytes, record_limit_words
from apollo_worker.core.columns import PairBatch
from apollo_worker.shuffle.arena import MAX_BUDGET_BYTES, PairArena, SortedArena
from apollo_worker.shuffle.arrow import pair_batch
from apollo_worker.shuffle.combine import Combiner
from apollo_worker.shuffle.data_file import BATCH_BYTES, DataFile
from apollo_worker.shuffle.disk import VOLUME, Space, make_directories, sync_directory, write_file
from apollo_worker.shuffle.key_ranges import KeyRanges
from apollo_worker.shuffle.partition import Partitioner
from apollo_worker.shuffle.segment_index import encode_index
from apollo_worker.shuffle.threads import in_stoppable_thread, iterate_in_thread
from apollo_worker.steps import Timed, doing

_COPIED_INLINE_BYTES = 1 << 20
_COMBINER_BATCH_BYTES = 1 << 20
_LARGE_BATCH_BYTES = 4 << 20
# Shares of the budget. What is left holds the message being written, which may be one record of a quarter.
_INCOMING_SHARE = 0.72
_INCOMING_SHARE_COMBINED = 0.42
_COMBINED_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Spilled:
    """What a map output's writer has done so far."""

    runs: int = 0
    records: int = 0
    combine_output_records: int = 0


@dataclass(frozen=True, slots=True)
class MapOutputSummary:
    """What a finished map output holds. `partition_bytes` counts each partition's bytes in the data file."""

    partition_bytes: tuple[int, ...]
    size_bytes: int
    records: int
    spilled: Spilled


class MapOutputWriter:
    """Buffers pairs up to a budget, sorts, combines and spills them below `directory`.

    Used by one task at a time: `add` any number of times, then `finish`; after an error or a cancellation of either,
    `abort`. Errors: RecordTooLarge, VolumeFull, ScratchExceeded, and whatever
    the combiner raises.
    """

    def __init__(
        self,
        directory: Path,
        partitions: int,
        partitioner: Partitioner | KeyRanges,
        budget_bytes: int,
        combiner: Combiner | None = None,
        space: Space | None = None,
    ) -> None:
        """`space` is what the directory lies on; None: the intermediate volume."""
        if budget_bytes < MIN_BUDGET_BYTES:
            raise ValueError(f"a budget of {budget_bytes} bytes is below the least, {MIN_BUDGET_BYTES}")
        budget_bytes = min(budget_bytes, MAX_BUDGET_BYTES)
        self._directory = directory
        self._partitions = partitions
        self._partitioner = partitioner
        self._combiner = combiner
        self._space = space or Space(VOLUME)
        self._disk = self._space.disk
        self._record_limit_bytes = record_limit_bytes(budget_bytes)
        self._batch_bytes = min(BATCH_BYTES, budget_bytes // 16)
        self._incoming = PairArena(int(budget_bytes * (_INCOMING_SHARE_COMBINED if combiner else _INCOMING_SHARE)))
        self._combined = PairArena(int(budget_bytes * _COMBINED_SHARE) if combiner else 0)
        self._stopped = threading.Event()
        self._data: DataFile | None = None
        self._whole_runs_bytes = 0
        self._changed_directories: list[Path] = []
        self._records = 0
        self._spilled_records = 0
        self._combine_output_records = 0

    async def add(self, batch: PairBatch) -> None:
        """Copy the pairs; spills when the buffer is full."""
        self._check(batch)
        self._records += len(batch)
        if batch.size_bytes > _LARGE_BATCH_BYTES and self._is_crowded_by(batch):
            await self._spill()
        rest = await self._fill(self._incoming, batch)
        while len(rest):
            await self._spill()
            rest = await self._fill(self._incoming, rest)

    async def finish(self) -> MapOutputSummary:
        """Write what is left and the index. When this returns, both files are on the disk, durable if that is."""
        await self._spill()
        return await in_stoppable_thread(self._finish, self._stopped.set)

    @property
    def spilled(self) -> Spilled:
        runs = self._data.runs if self._data is not None else 0
        return Spilled(runs, self._spilled_records, self._combine_output_records)

    @property
    def made_bytes(self) -> int:
        """What it holds so far, in memory and on the disk."""
        return self._whole_runs_bytes + self._incoming.written_bytes + self._combined.written_bytes

    @property
    def kept_bytes(self) -> int:
        """What of it lies on the disk."""
        return self._data.size_bytes if self._data is not None else 0

    async def abort(self) -> None:
        """Remove what was written. May be called at any time, also after `finish`."""
        self._stopped.set()
        await in_thread(self._remove)

    def _check(self, batch: PairBatch) -> None:
        limit = self._record_limit_bytes
        if batch.size_bytes <= limit:
            return
        keys, values = np.diff(batch.key_offsets), np.diff(batch.value_offsets)
        for row in np.flatnonzero(keys.astype(np.int64) + values > limit)[:1]:
            raise RecordTooLarge(
                f"a record with a key of {keys[row]} bytes and a value of {values[row]} bytes is too large: "
                f"{record_limit_words(limit)}, or emit smaller records"
            )

    def _is_crowded_by(self, batch: PairBatch) -> bool:
        """Whether there is no room for a batch twice: a large one stays in the frame that brought it, too."""
        return self._incoming.used_bytes + 2 * batch.size_bytes > self._incoming.budget_bytes

    async def _fill(self, arena: PairArena, batch: PairBatch) -> PairBatch:
        """Copy as many pairs as fit; returns the rest."""
        with doing(Step.RECEIVE):
            if batch.size_bytes <= _COPIED_INLINE_BYTES:
                taken = arena.append(batch)
            else:
                taken = await in_thread(arena.append, batch)
        return batch.slice(taken, len(batch))

    async def _spill(self) -> None:
        if self._combiner is None:
            await in_stoppable_thread(lambda: self._write(self._incoming), self._stopped.set)
            return
        if len(self._incoming):
            await self._combine(self._combiner)

    async def _combine(self, combiner: Combiner) -> None:
        """Combine the incoming pairs into the second arena, which is written when full and else goes on filling."""
        with doing(Step.SORT):
            pairs = await in_thread(self._incoming.sort, self._partitioner, self._partitions)
        async with (
            aclosing(_batches(pairs)) as batches,
            aclosing(combiner.combine(Timed(Step.SORT, batches))) as results,
        ):
            async for batch in results:
                self._check(batch)
                self._combine_output_records += len(batch)
                rest = await self._fill(self._combined, batch)
                while len(rest):
                    await in_stoppable_thread(lambda: self._write(self._combined), self._stopped.set)
                    rest = await self._fill(self._combined, rest)
        self._incoming.clear()

    def _write(self, arena: PairArena) -> None:
        """Write the arena's pairs as one run and empty it."""
        if not len(arena):
            return
        with doing(Step.SORT):
            pairs = arena.sort(self._partitioner, self._partitions)
        with doing(Step.WRITE):
            data = self._open()
            data.write_run(pairs)
        self._whole_runs_bytes = data.size_bytes
        self._spilled_records += len(arena)
        arena.clear()

    def _open(self) -> DataFile:
        if self._data is None:
            self._changed_directories = make_directories(self._directory, self._disk)
            self._data = DataFile(self._directory / DATA_FILE, self._batch_bytes, self._stopped, self._space)
        return self._data

    def _finish(self) -> MapOutputSummary:
        self._write(self._combined)
        self._incoming = self._combined = PairArena(0)  # what comes after needs the memory
        with doing(Step.COMMIT):
            return self._end()

    def _end(self) -> MapOutputSummary:
        data = self._open()
        data.finish()
        entries = data.entries()
        index = encode_index(entries, data.first_keys, self._partitions)
        self._space.take(len(index))
        write_file(self._directory / INDEX_FILE, index, self._disk)
        if self._disk.durable:
            for directory in (self._directory, *self._changed_directories):
                sync_directory(directory, self._disk)
        sizes = np.bincount(entries["partition"], entries["length_bytes"], self._partitions)
        return MapOutputSummary(
            partition_bytes=tuple(sizes.astype(np.int64).tolist()),
            size_bytes=data.size_bytes + len(index),
            records=self._records,
            spilled=self.spilled,
        )

    def _remove(self) -> None:
        if self._data is not None:
            self._data.discard()
        (self._directory / INDEX_FILE).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            self._directory.rmdir()


def _batches(pairs: SortedArena) -> AsyncGenerator[PairBatch, None]:
    return iterate_in_thread(pair_batch(pairs.take(chunk)) for chunk in pairs.chunks(_COMBINER_BATCH_BYTES))
