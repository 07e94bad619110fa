"""Pairs as Arrow record batches: their messages, and how rows are gathered from them."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import Bytes, Offsets, PairBatch

SCHEMA = pa.schema([pa.field("key", pa.binary(), nullable=False), pa.field("value", pa.binary(), nullable=False)])
STREAM_START = SCHEMA.serialize().to_pybytes()
STREAM_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # Arrow IPC streaming format, end-of-stream marker

# For the whole process, since not every function of pyarrow takes a pool: its own allocator keeps some 50 MiB that
# glibc (see apollo_worker.memory) gives back.
pa.set_memory_pool(pa.system_memory_pool())


def record_batch(pairs: PairBatch) -> Any:
    keys = binary_array(pairs.key_offsets, pairs.key_bytes)
    return pa.RecordBatch.from_arrays([keys, binary_array(pairs.value_offsets, pairs.value_bytes)], schema=SCHEMA)


def pair_batch(batch: Any) -> PairBatch:
    return PairBatch(*binary_columns(batch.column(0)), *binary_columns(batch.column(1)))


def encode_message(batch: Any) -> Any:
    """The batch as one complete Arrow IPC message, a pyarrow buffer."""
    return batch.serialize()


def decode_message(content: bytes) -> PairBatch:
    """The pairs of one message that `encode_message` made, without copying."""
    return pair_batch(pa.ipc.read_record_batch(content, SCHEMA))


class Column:
    """A binary column from which rows are gathered; items of one length go a faster way."""

    def __init__(self, offsets: Offsets, content: Bytes) -> None:
        self.width = uniform_width(offsets)
        """Bytes of every item; 0 when they differ or are empty."""
        self._array = binary_array(offsets, content)
        self._items = content[offsets[0] : offsets[-1]].view(f"V{self.width}") if self.width else content[:0]

    def take(self, rows: Offsets) -> Any:
        """The items at `rows`, all of which exist, as a binary array in memory of its own."""
        if not self.width:
            return pc.take(self._array, pa.array(rows), boundscheck=False)
        # "clip" spares numpy its check: it is half as fast again as Arrow's kernel, and twice as fast as with it.
        items = np.take(self._items, rows, mode="clip")
        offsets = np.arange(0, (len(rows) + 1) * self.width, self.width, dtype=np.int32)
        return binary_array(offsets, items.view(np.uint8))

    def view(self, row: int) -> Any:
        """The item at `row` as a binary array of one, over the same memory."""
        return self._array.slice(row, 1)


def uniform_width(offsets: Offsets) -> int:
    """The length that all items have; 0 when they differ, are empty or there are none."""
    if len(offsets) < 2:
        return 0
    width = int(offsets[1]) - int(offsets[0])
    return width if width and bool((np.diff(offsets) == width).all()) else 0
