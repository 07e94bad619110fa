"""Batches in slices of bounded size, so that what is made of one takes bounded memory."""

from collections.abc import Iterator

import numpy as np

from apollo_worker.core.columns import PairBatch

SLICE_BYTES = 4 << 20
SLICE_ROWS = 1 << 18


def bounded_slices(batch: PairBatch, size_bytes: int = SLICE_BYTES, rows: int = SLICE_ROWS) -> Iterator[PairBatch]:
    """Slices of at most `size_bytes` of keys and values and at most `rows` pairs, or of one pair that is larger."""
    ends = batch.key_offsets.astype(np.int64) + batch.value_offsets
    start = 0
    while start < len(batch):
        stop = int(np.searchsorted(ends, ends[start] + size_bytes, side="right")) - 1
        stop = min(max(stop, start + 1), start + rows, len(batch))
        yield batch.slice(start, stop)
        start = stop
