r"""Lines and pairs of the text protocol, converted a block at a time (Hadoop Streaming's rules).

The first tab of a line ends the key; a line without one is a key with an empty value; `\r` is data.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import Bytes, Lengths, PairBatch

TAB, NEWLINE = 9, 10
_SEPARATOR, _END, _NOTHING = (pa.scalar(text, pa.binary()) for text in (b"\t", b"\n", b""))


def count_lines(content: Bytes) -> int:
    return int(np.count_nonzero(content == NEWLINE))


def longest_line_bytes(content: Bytes) -> int:
    r"""The longest line without its end; `content` is whole lines."""
    ends = np.flatnonzero(content == NEWLINE)
    return int(np.diff(ends, prepend=-1).max(initial=1)) - 1


def parse_lines(content: Bytes) -> PairBatch:
    r"""Whole lines, each with its `\n`, as pairs. The batch shares nothing with `content`."""
    ends = np.flatnonzero(content == NEWLINE)
    count = len(ends)
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    tabs = _first_tabs(content, starts, ends)
    # Four segments a line: key, tab, value, end. Taking every fourth gathers the keys, or the values.
    bounds = np.empty(4 * count + 1, np.int32)
    bounds[0:-1:4] = starts
    bounds[1::4] = tabs
    bounds[2::4] = np.minimum(tabs + 1, ends)
    bounds[3::4] = ends
    bounds[-1] = len(content)
    segments = binary_array(bounds, content)
    rows = np.arange(0, 4 * count, 4, dtype=np.int32)
    return PairBatch(*binary_columns(segments.take(pa.array(rows))), *binary_columns(segments.take(pa.array(rows + 2))))


def join_pairs(batch: PairBatch) -> memoryview:
    r"""The pairs as `key\tvalue\n` lines; the tab is there for an empty value too."""
    keys = binary_array(batch.key_offsets, batch.key_bytes)
    values = binary_array(batch.value_offsets, batch.value_bytes)
    return _content(pc.binary_join_element_wise(keys, _SEPARATOR, values, _END, _NOTHING))


def join_records(content: Bytes, lengths: Lengths) -> memoryview:
    r"""Records that lie back to back as lines: each gets its `\n`."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:], dtype=np.int32)
    return _content(pc.binary_join_element_wise(binary_array(offsets, content), _END, _NOTHING))


def _first_tabs(content: Bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each line's key ends: its first tab, or its end."""
    tabs = np.flatnonzero(content == TAB)
    if len(tabs) == len(ends) and bool((tabs >= starts).all() and (tabs < ends).all()):  # the usual: one tab a line
        return tabs
    following: NDArray[np.int64] = np.append(tabs, len(content))[np.searchsorted(tabs, starts)]
    np.minimum(following, ends, out=following)
    return following


def _content(array: Any) -> memoryview:
    offsets, content = binary_columns(array)
    return content[offsets[0] : offsets[-1]].data
