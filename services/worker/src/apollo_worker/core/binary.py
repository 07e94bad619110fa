"""Columns of byte strings as Arrow's binary arrays and back, over the same memory."""

from typing import Any

import numpy as np
import pyarrow as pa

from apollo_worker.core.columns import Bytes, Offsets


def binary_array(offsets: Offsets, content: Bytes) -> Any:
    """An Arrow binary array; `offsets` need not start at 0."""
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def binary_columns(array: Any) -> tuple[Offsets, Bytes]:
    """Offsets and bytes of an Arrow binary or string array."""
    _, offsets, content = array.buffers()
    bounds = np.zeros(1, np.int32) if offsets is None else np.frombuffer(offsets, np.int32)
    used = bounds[array.offset : array.offset + len(array) + 1]
    return used, np.zeros(0, np.uint8) if content is None else np.frombuffer(content, np.uint8)
