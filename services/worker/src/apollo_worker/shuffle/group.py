"""Groups sorted pairs by key, or by the first fields of their keys."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from apollo_common.timings import Step
from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import GroupBatch, PairBatch
from apollo_worker.core.fields import nth_separators
from apollo_worker.core.line_fields import TAB_SEPARATED
from apollo_worker.steps import doing


@dataclass(frozen=True, slots=True)
class Grouping:
    """Keys are of one group when they agree in their first `fields` fields; 0: in all that they are."""

    fields: int = 0
    separator: bytes = TAB_SEPARATED.separator

    def starts(self, batch: PairBatch) -> NDArray[np.int64]:
        """The rows at which a group begins; row 0 first. The batch is not empty."""
        heads = self._heads(batch)
        changes = pc.not_equal(heads[1:], heads[:-1]).to_numpy(zero_copy_only=False)
        return np.concatenate(([0], np.flatnonzero(changes) + 1))

    def joins(self, last_key: bytes, key: bytes) -> bool:
        """Whether they are of one group."""
        return self._head(last_key) == self._head(key)

    def _heads(self, batch: PairBatch) -> Any:
        offsets = batch.key_offsets
        if not self.fields:
            return binary_array(offsets, batch.key_bytes)
        # Two segments a key, head and rest: taking every second one gathers the heads.
        bounds = np.empty(2 * len(batch) + 1, np.int32)
        bounds[::2] = offsets
        bounds[1::2] = nth_separators(batch.key_bytes, offsets[:-1], offsets[1:], self.separator, self.fields)
        rows = pa.array(np.arange(0, 2 * len(batch), 2, dtype=np.int32))
        return binary_array(bounds, batch.key_bytes).take(rows)

    def _head(self, key: bytes) -> bytes:
        return self.separator.join(key.split(self.separator, self.fields)[: self.fields]) if self.fields else key


WHOLE_KEYS = Grouping()


async def grouped(pairs: AsyncIterator[PairBatch], grouping: Grouping = WHOLE_KEYS) -> AsyncGenerator[GroupBatch, None]:
    """One group batch per pair batch; a group's pairs must be adjacent, also across batches. Values are not copied.

    A group is known by its first key, wherever it goes on.
    """
    last_key = first_key = b""
    begun = False
    async for batch in pairs:
        if not len(batch):
            continue
        with doing(Step.SEND):
            starts = grouping.starts(batch)
            offsets, keys = take_keys(batch, starts)
            continues = begun and grouping.joins(last_key, key_at(batch, 0))
            if continues and grouping.fields:
                offsets, keys = _with_first(first_key, offsets, keys)
            last_key, begun = key_at(batch, len(batch) - 1), True
            if grouping.fields:
                first_key = keys[offsets[-2] : offsets[-1]].tobytes()
            counts = np.diff(starts, append=len(batch)).astype(np.uint32)
        groups = GroupBatch(continues, offsets, keys, counts, batch.value_offsets, batch.value_bytes)
        del batch, keys  # they may be large: nothing is kept while the next batch is awaited
        yield groups
        del groups


def group_starts(batch: PairBatch) -> NDArray[np.int64]:
    """The rows at which a key begins; row 0 first. The batch is not empty."""
    return WHOLE_KEYS.starts(batch)


def take_keys(batch: PairBatch, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The keys at `rows`, as offsets and bytes; all of them without copying."""
    if len(rows) == len(batch):
        return batch.key_offsets, batch.key_bytes
    return binary_columns(pc.take(binary_array(batch.key_offsets, batch.key_bytes), pa.array(rows)))


def key_at(batch: PairBatch, row: int) -> bytes:
    return batch.key_bytes[batch.key_offsets[row] : batch.key_offsets[row + 1]].tobytes()


def _with_first(
    key: bytes, offsets: NDArray[np.int32], keys: NDArray[np.uint8]
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The keys with another one in place of the first."""
    first = pa.array([key], pa.binary())
    return binary_columns(pa.concat_arrays([first, binary_array(offsets, keys)[1:]]))
