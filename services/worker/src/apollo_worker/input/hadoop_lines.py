r"""Lines as Hadoop's TextInputFormat cuts them, so that its jobs get the same lines in the same map tasks.

A line ends with `\n`, `\r\n` or a lone `\r`; a byte order mark at the start is dropped; the line that starts right at a
split's end still belongs to it. An `\n` whose `\r` lies in the split before ends a line of its own there.
Source: org.apache.hadoop.mapred.LineRecordReader, KeyValueLineRecordReader and org.apache.hadoop.util.LineReader of
Hadoop 3.4.2; org.apache.hadoop.streaming.PipeMapper for what a program sees of the keys.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import RecordBlock
from apollo_worker.input.scanner import Boundaries, Cut, Scanner, as_bytes

_TAB_BYTE, _NEWLINE, _RETURN = b"\t\n\r"
_NOTHING, _TAB = (pa.scalar(text, pa.binary()) for text in (b"", b"\t"))


class HadoopLineScanner:
    """See Scanner."""

    drops_bom = True
    max_record_bytes: int | None = None
    parting_bytes = 2
    owned_shift = 1

    def scan(self, data: bytes, *, at_record: bool, final: bool) -> Boundaries:  # noqa: ARG002  # a Scanner's
        content = as_bytes(data)
        if b"\r" not in data:
            ends = np.flatnonzero(content == _NEWLINE)
            return Boundaries(ends, ends + 1)
        returns, newlines = content == _RETURN, content == _NEWLINE
        pairs = np.append(returns[:-1] & newlines[1:], np.False_)
        second = np.concatenate(([np.False_], pairs[:-1]))
        ends = np.flatnonzero(returns | (newlines & ~second))
        if not final and data.endswith(b"\r"):  # the next byte tells what it is
            ends = ends[:-1]
        return Boundaries(ends, ends + 1 + pairs[ends])

    def block(self, cut: Cut) -> RecordBlock:
        data, exact = cut.data, True
        if b"\r" in data:
            data, exact = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), False
        if not data.endswith(b"\n"):
            data += b"\n"
        return RecordBlock(
            cut.url, data, cut.count, cut.offset, exact_offsets=exact, offsets=None if exact else cut.offsets
        )


class _KeyedScanner:
    """The lines of another scanner, shown with their keys."""

    def __init__(self, lines: Scanner) -> None:
        self.drops_bom = lines.drops_bom
        self.max_record_bytes = lines.max_record_bytes
        self.parting_bytes = lines.parting_bytes
        self.owned_shift = lines.owned_shift
        self.scan = lines.scan


class OffsetScanner(_KeyedScanner):
    """Each line behind its byte offset and a tab: a key that PipeMapper writes."""

    def block(self, cut: Cut) -> RecordBlock:
        offsets = pc.cast(pc.cast(pa.array(cut.offsets), pa.string()), pa.binary())
        return _sized(cut, pc.binary_join_element_wise(offsets, _lines(cut), _TAB))


class KeyValueScanner(_KeyedScanner):
    """Each line with a tab: KeyValueTextInputFormat's key and value."""

    def block(self, cut: Cut) -> RecordBlock:
        tabs = np.flatnonzero(as_bytes(cut.data) == _TAB_BYTE)
        keyed = np.searchsorted(tabs, cut.starts) < np.searchsorted(tabs, cut.ends)
        missing = pc.if_else(pa.array(keyed), _NOTHING, _TAB)
        return _sized(cut, pc.binary_join_element_wise(_lines(cut), missing, _NOTHING))


def _lines(cut: Cut) -> pa.Array:
    bounds = np.zeros(cut.count + 1, np.int32)
    np.cumsum(cut.ends - cut.starts, out=bounds[1:])
    return binary_array(bounds, np.frombuffer(cut.gathered(), np.uint8))


def _sized(cut: Cut, records: pa.Array) -> RecordBlock:
    offsets, content = binary_columns(records)
    data = content[offsets[0] : offsets[-1]].data
    lengths = np.diff(offsets).astype(np.uint32)
    return RecordBlock(cut.url, data, cut.count, cut.offset, lengths, exact_offsets=False, offsets=cut.offsets)
