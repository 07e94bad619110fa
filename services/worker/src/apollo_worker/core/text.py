r"""Lines and pairs of the text protocol, converted a block at a time (Hadoop Streaming's rules).

The first tab of a line ends the key, unless the job cuts lines otherwise (`LineFields`); a line without one is a key
with an empty value; `\r` is data.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import Bytes, Lengths, PairBatch
from apollo_worker.core.fields import nth_separators
from apollo_worker.core.line_fields import TAB_SEPARATED, LineFields

NEWLINE = 10
_END, _NOTHING = (pa.scalar(text, pa.binary()) for text in (b"\n", b""))


def count_lines(content: Bytes) -> int:
    return int(np.count_nonzero(content == NEWLINE))


def longest_line_bytes(content: Bytes) -> int:
    r"""The longest line without its end; `content` is whole lines."""
    ends = np.flatnonzero(content == NEWLINE)
    return int(np.diff(ends, prepend=-1).max(initial=1)) - 1


def parse_lines(content: Bytes, fields: LineFields = TAB_SEPARATED) -> PairBatch:
    r"""Whole lines, each with its `\n`, as pairs. The batch shares nothing with `content`."""
    ends = np.flatnonzero(content == NEWLINE)
    count = len(ends)
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    cuts = nth_separators(content, starts, ends, fields.separator, fields.key_fields)
    # Four segments a line: key, separator, value, end. Taking every fourth gathers the keys, or the values.
    bounds = np.empty(4 * count + 1, np.int32)
    bounds[0:-1:4] = starts
    bounds[1::4] = cuts
    bounds[2::4] = np.minimum(cuts + len(fields.separator), ends)
    bounds[3::4] = ends
    bounds[-1] = len(content)
    segments = binary_array(bounds, content)
    rows = np.arange(0, 4 * count, 4, dtype=np.int32)
    return PairBatch(*binary_columns(segments.take(pa.array(rows))), *binary_columns(segments.take(pa.array(rows + 2))))


def join_pairs(batch: PairBatch, separator: bytes = TAB_SEPARATED.separator) -> memoryview:
    r"""The pairs as `key\tvalue\n` lines; the separator is there for an empty value too."""
    keys = binary_array(batch.key_offsets, batch.key_bytes)
    values = binary_array(batch.value_offsets, batch.value_bytes)
    return _content(pc.binary_join_element_wise(keys, pa.scalar(separator, pa.binary()), values, _END, _NOTHING))


def join_records(content: Bytes, lengths: Lengths) -> memoryview:
    r"""Records that lie back to back as lines: each gets its `\n`."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:], dtype=np.int32)
    return _content(pc.binary_join_element_wise(binary_array(offsets, content), _END, _NOTHING))


def _content(array: Any) -> memoryview:
    offsets, content = binary_columns(array)
    return content[offsets[0] : offsets[-1]].data
