"""Groups sorted pairs by key."""

from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import GroupBatch, PairBatch


async def grouped(pairs: AsyncIterator[PairBatch]) -> AsyncGenerator[GroupBatch, None]:
    """One group batch per pair batch; equal keys must be adjacent, also across batches. Values are not copied."""
    last_key: bytes | None = None
    async for batch in pairs:
        if not len(batch):
            continue
        starts = group_starts(batch)
        heads_offsets, heads = take_keys(batch, starts)
        continues = last_key is not None and key_at(batch, 0) == last_key
        last_key = key_at(batch, len(batch) - 1)
        counts = np.diff(starts, append=len(batch)).astype(np.uint32)
        groups = GroupBatch(continues, heads_offsets, heads, counts, batch.value_offsets, batch.value_bytes)
        del batch, heads  # they may be large: nothing is kept while the next batch is awaited
        yield groups
        del groups


def group_starts(batch: PairBatch) -> NDArray[np.int64]:
    """The rows at which a key begins; row 0 first. The batch is not empty."""
    keys = binary_array(batch.key_offsets, batch.key_bytes)
    changes = pc.not_equal(keys[1:], keys[:-1]).to_numpy(zero_copy_only=False)
    return np.concatenate(([0], np.flatnonzero(changes) + 1))


def take_keys(batch: PairBatch, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The keys at `rows`, as offsets and bytes; all of them without copying."""
    if len(rows) == len(batch):
        return batch.key_offsets, batch.key_bytes
    return binary_columns(pc.take(binary_array(batch.key_offsets, batch.key_bytes), pa.array(rows)))


def key_at(batch: PairBatch, row: int) -> bytes:
    return batch.key_bytes[batch.key_offsets[row] : batch.key_offsets[row + 1]].tobytes()
