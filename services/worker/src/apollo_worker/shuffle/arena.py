"""A bounded buffer of pairs that is filled, sorted and read out in order: one spill, or one slice of a merge."""

import mmap
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from apollo_worker.core.columns import Offsets, PairBatch
from apollo_worker.shuffle.arrow import SCHEMA, Column
from apollo_worker.shuffle.key_ranges import KeyRanges
from apollo_worker.shuffle.keys import SPARE_BYTES
from apollo_worker.shuffle.partition import Partitioner
from apollo_worker.shuffle.sort import Rows, SortedRows, sort_rows

ROW_COST_BYTES = 64  # offsets, packed sort words, row order and the scratch of tied rows
MAX_BUDGET_BYTES = 1 << 30  # offsets are 32-bit, and more memory would bring little
_WINDOW_ROWS = 1 << 16
_ROW_OVERHEAD_BYTES = 8  # two offsets in an Arrow message


class Chunk(NamedTuple):
    """Consecutive rows of the sorted order, `start` to `stop`."""

    start: int
    stop: int


class PairArena:
    """Pairs of at most `budget_bytes`, counted as keys, values and ROW_COST_BYTES a pair.

    Memory is reserved once and touched as it fills, so a new filling meets no page faults. Not thread-safe: one
    thread at a time.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = min(budget_bytes, MAX_BUDGET_BYTES)
        rows = self.budget_bytes // ROW_COST_BYTES + 1
        self._keys = _Region(self.budget_bytes + SPARE_BYTES)
        self._values = _Region(self.budget_bytes)
        self._key_offsets = np.zeros(rows + 1, np.int32)
        self._value_offsets = np.zeros(rows + 1, np.int32)
        self._scratch = np.empty(rows, np.uint64)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def used_bytes(self) -> int:
        key_bytes, value_bytes = self._filled()
        return key_bytes + value_bytes + self._rows * ROW_COST_BYTES

    @property
    def written_bytes(self) -> int:
        """About what the pairs take once they are written."""
        return sum(self._filled()) + self._rows * _ROW_OVERHEAD_BYTES

    def append(self, batch: PairBatch) -> int:
        """Copy as many leading pairs of `batch` as fit; returns how many."""
        count = self._fitting(batch)
        if not count:
            return 0
        key_fill, value_fill = self._filled()
        key_bytes = int(batch.key_offsets[count]) - int(batch.key_offsets[0])
        value_bytes = int(batch.value_offsets[count]) - int(batch.value_offsets[0])
        self._make_room(key_fill + key_bytes, value_fill + value_bytes)
        stop = self._rows + count
        self._keys.write(key_fill, batch.key_bytes[batch.key_offsets[0] :][:key_bytes])
        self._values.write(value_fill, batch.value_bytes[batch.value_offsets[0] :][:value_bytes])
        _append_offsets(self._key_offsets[self._rows + 1 : stop + 1], batch.key_offsets, key_fill)
        _append_offsets(self._value_offsets[self._rows + 1 : stop + 1], batch.value_offsets, value_fill)
        self._rows = stop
        return count

    def sort(self, partitioner: Partitioner | KeyRanges | None = None, partitions: int = 1) -> "SortedArena":
        """The pairs in (partition, key) order. Valid until the arena is cleared."""
        key_offsets = self._key_offsets[: self._rows + 1]
        value_offsets = self._value_offsets[: self._rows + 1]
        keys = self._keys.content[: int(key_offsets[-1]) + SPARE_BYTES]
        rows = sort_rows(key_offsets, keys, partitioner, partitions, self._scratch)
        columns = Column(key_offsets, self._keys.content), Column(value_offsets, self._values.content)
        return SortedArena(rows, columns, key_offsets, value_offsets)

    def clear(self) -> None:
        self._rows = 0

    def _filled(self) -> tuple[int, int]:
        return int(self._key_offsets[self._rows]), int(self._value_offsets[self._rows])

    def _fitting(self, batch: PairBatch) -> int:
        left_bytes = self.budget_bytes - self.used_bytes
        if batch.size_bytes + len(batch) * ROW_COST_BYTES <= left_bytes:
            return len(batch)
        ends = batch.key_offsets[1:].astype(np.int64) + batch.value_offsets[1:]
        ends -= int(batch.key_offsets[0]) + int(batch.value_offsets[0])
        ends += np.arange(1, len(batch) + 1, dtype=np.int64) * ROW_COST_BYTES
        return int(np.searchsorted(ends, left_bytes, "right"))

    def _make_room(self, key_bytes: int, value_bytes: int) -> None:
        """Keep touched memory within the budget when this filling has other proportions than the ones before."""
        touched = max(key_bytes, self._keys.touched_bytes) + max(value_bytes, self._values.touched_bytes)
        if touched > self.budget_bytes:
            self._keys.release_beyond(key_bytes)
            self._values.release_beyond(value_bytes)


class SortedArena:
    """A filled arena and its order."""

    def __init__(
        self, rows: SortedRows, columns: tuple[Column, Column], key_offsets: Offsets, value_offsets: Offsets
    ) -> None:
        self._order: Rows = rows.order
        self._columns = columns
        self._key_offsets = key_offsets
        self._value_offsets = value_offsets
        self.counts = rows.counts

    def chunks(self, limit_bytes: int) -> Iterator[Chunk]:
        """Cut the order into chunks of at most `limit_bytes`; a larger pair is a chunk of its own."""
        keys, values = self._columns
        if keys.width and values.width:
            step = max(1, limit_bytes // (keys.width + values.width + _ROW_OVERHEAD_BYTES))
            for start in range(0, len(self._order), step):
                yield Chunk(start, min(start + step, len(self._order)))
            return
        for start in range(0, len(self._order), _WINDOW_ROWS):
            rows = self._order[start : start + _WINDOW_ROWS]
            ends = np.cumsum(self._sizes(rows), dtype=np.int64)
            first = 0
            while first < len(rows):
                before = int(ends[first - 1]) if first else 0
                stop = max(first + 1, int(np.searchsorted(ends, before + limit_bytes, "right")))
                yield Chunk(start + first, start + stop)
                first = stop

    def take(self, chunk: Chunk) -> Any:
        """The pairs of a chunk as a record batch in memory of its own."""
        rows = self._order[chunk.start : chunk.stop]
        return pa.RecordBatch.from_arrays([column.take(rows) for column in self._columns], schema=SCHEMA)

    def view(self, row: int) -> Any:
        """One pair of the order as a record batch over the arena's memory: for pairs that are too large to copy."""
        return pa.RecordBatch.from_arrays(
            [column.view(int(self._order[row])) for column in self._columns], schema=SCHEMA
        )

    def _sizes(self, rows: Rows) -> Offsets:
        keys = self._key_offsets[rows + 1] - self._key_offsets[rows]
        sizes: Offsets = keys + (self._value_offsets[rows + 1] - self._value_offsets[rows]) + _ROW_OVERHEAD_BYTES
        return sizes


class _Region:
    """Reserved memory that takes up space only as far as it was written."""

    def __init__(self, capacity_bytes: int) -> None:
        self._map = mmap.mmap(-1, max(capacity_bytes, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        # The first touch of small pages takes longer than to fill and sort what they hold.
        with suppress(OSError):  # by a kernel that knows no huge ones
            self._map.madvise(mmap.MADV_HUGEPAGE)
        self.content = np.frombuffer(self._map, np.uint8)
        self.touched_bytes = 0

    def write(self, position: int, source: Any) -> None:
        stop = position + len(source)
        self.content[position:stop] = source
        self.touched_bytes = max(self.touched_bytes, stop)

    def release_beyond(self, kept_bytes: int) -> None:
        start = -(-kept_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        if start < self.touched_bytes:
            self._map.madvise(mmap.MADV_DONTNEED, start, len(self._map) - start)
        self.touched_bytes = min(self.touched_bytes, kept_bytes)


def _append_offsets(target: Offsets, source: Offsets, fill: int) -> None:
    np.add(source[1 : len(target) + 1], fill - int(source[0]), out=target)
