"""Folds that drop the repeats of a key's values."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from apollo_common.errors import RecordTooLarge
from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import PairBatch
from apollo_worker.shuffle.group import group_starts, key_at
from apollo_worker.shuffle.keys import SPARE_BYTES
from apollo_worker.shuffle.sort import sort_rows

_OUTPUT_BYTES = 1 << 20
_LEAST_PENDING_BYTES = 1 << 20


class UniqueInBatches:
    """Drops repeats within each batch only: enough for a combiner, and needs no memory between batches."""

    def push(self, batch: PairBatch) -> Iterator[PairBatch]:
        yield _distinct_pairs(batch)

    def end(self) -> Iterator[PairBatch]:
        return iter(())


class UniqueFold:
    """Each distinct value of a key once, in byte order. Holds the distinct values of one key at a time.

    Raises RecordTooLarge when those take more than `budget_bytes`.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._key: bytes | None = None
        self._values: Any = _no_values()  # distinct and sorted
        self._pending: list[Any] = []
        self._pending_bytes = 0

    def push(self, batch: PairBatch) -> Iterator[PairBatch]:
        starts = [*group_starts(batch).tolist(), len(batch)]
        first, last = starts[1], starts[-2]
        if self._key is not None and self._key == key_at(batch, 0):
            self._hold(batch.slice(0, first))
            if first == len(batch):
                return
        else:
            first = 0
        yield from self.end()
        if first < last:
            yield _distinct_pairs(batch.slice(first, last))
        self._key = key_at(batch, last)
        self._hold(batch.slice(last, len(batch)))

    def end(self) -> Iterator[PairBatch]:
        """The open key with its values."""
        if self._key is None:
            return
        self._settle()
        values, self._values = self._values, _no_values()
        size_bytes = len(self._key) * len(values) + values.nbytes
        step = max(1, len(values) * _OUTPUT_BYTES // max(size_bytes, 1))
        for start in range(0, len(values), step):
            part = values[start : start + step]
            offsets = np.arange(len(part) + 1, dtype=np.int32) * np.int32(len(self._key))
            keys = np.frombuffer(self._key * len(part), np.uint8)
            yield PairBatch(offsets, keys, *binary_columns(part))

    def _hold(self, batch: PairBatch) -> None:
        """Add values to the open key. They are copied, or a few would keep a whole batch in memory."""
        values = pa.concat_arrays([binary_array(batch.value_offsets, batch.value_bytes), _no_values()])
        self._pending.append(values)
        self._pending_bytes += values.nbytes
        if self._pending_bytes > max(_LEAST_PENDING_BYTES, self._values.nbytes):
            self._settle()

    def _settle(self) -> None:
        """Bring pending values among the settled ones. They at least double each time, so the work stays n log n."""
        values = pa.concat_arrays([self._values, *self._pending])
        self._pending.clear()
        self._pending_bytes = 0
        offsets, content = binary_columns(values)
        order = sort_rows(offsets, _padded(content), None, 1).order
        ordered = pc.take(values, pa.array(order))
        self._values = ordered.filter(pa.array(_changes(ordered)))
        if self._values.nbytes > self._budget_bytes and self._key is not None:
            raise RecordTooLarge(
                f"the distinct values of a key of {len(self._key)} bytes take more than {self._budget_bytes} bytes, "
                "and builtin:unique holds them all; raise memoryBudget or use a program as the reducer"
            )


def _distinct_pairs(batch: PairBatch) -> PairBatch:
    """The pairs of whole groups without repeats, values in byte order."""
    keys = binary_array(batch.key_offsets, batch.key_bytes)
    values = binary_array(batch.value_offsets, batch.value_bytes)
    starts = group_starts(batch)
    groups = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(batch)))
    by_value = sort_rows(batch.value_offsets, _padded(batch.value_bytes), None, 1).order
    order = by_value[np.argsort(groups[by_value], kind="stable")]
    first = np.zeros(len(batch), bool)
    first[starts] = True  # sorting within groups leaves the groups' places
    kept = pa.array(order[first | _changes(pc.take(values, pa.array(order)))])
    return PairBatch(*binary_columns(pc.take(keys, kept)), *binary_columns(pc.take(values, kept)))


def _changes(values: Any) -> NDArray[np.bool_]:
    """Which items differ from the one before; the first does."""
    differs = pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate(([len(values) > 0], differs))[: len(values)]


def _padded(content: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([content, np.zeros(SPARE_BYTES, np.uint8)])


def _no_values() -> Any:
    return pa.array([], pa.binary())
