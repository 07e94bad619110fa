r"""JSON lines (jsonlines.org): a JSON value on each line.

Blank lines are none. A line that does not begin and end as a JSON value does is an error that names it: the usual
mistake is one document over many lines. Programs parse the values, and see what else is wrong.
"""

import numpy as np
from numpy.typing import NDArray

from apollo_common.errors import InputCorrupt
from apollo_worker.core.columns import RecordBlock
from apollo_worker.input.scanner import Boundaries, Cut, as_bytes

_NEWLINE = 10
_BLANK = np.zeros(256, np.bool_)
_BLANK[list(b" \t\r")] = True

# What a value begins with, and what it then ends with, as bits that must meet.
_FIRST, _LAST = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
for _bit, (_begin, _end) in enumerate(((b"{", b"}"), (b"[", b"]"), (b'"', b'"'), (b"tf", b"e"), (b"n", b"l"))):
    _FIRST[list(_begin)] = _LAST[list(_end)] = 1 << _bit
_FIRST[list(b"-0123456789")] = _LAST[list(b"0123456789")] = 1 << 5


class JsonLineScanner:
    """See Scanner."""

    drops_bom = True
    max_record_bytes: int | None = None
    parting_bytes = 2
    owned_shift = 0

    def scan(self, data: bytes, *, at_record: bool, final: bool) -> Boundaries:  # noqa: ARG002  # a Scanner's
        ends = np.flatnonzero(as_bytes(data) == _NEWLINE)
        return Boundaries(ends, ends + 1)

    def block(self, cut: Cut) -> RecordBlock:
        data, count, offset = cut.data, cut.count, cut.offset
        if not data.endswith(b"\n"):
            data += b"\n"
        blank = _check(cut, as_bytes(data))
        if not blank.any() and b"\r" not in data:
            return RecordBlock(cut.url, data, count, offset)
        if blank.any():
            bounds = np.append(cut.starts, len(data))
            data = as_bytes(data)[np.repeat(~blank, np.diff(bounds))].tobytes()
            count -= int(blank.sum())
            offset = int(cut.offsets[~blank][0]) if count else offset
        offsets = cut.offsets[~blank]
        return RecordBlock(cut.url, data.replace(b"\r\n", b"\n"), count, offset, exact_offsets=False, offsets=offsets)


def _check(cut: Cut, content: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which lines are blank. InputCorrupt for one that can be no JSON value."""
    firsts, lasts = cut.starts, cut.ends - 1
    blank: NDArray[np.bool_] = cut.starts == cut.ends
    if blank.any() or _BLANK[content[firsts]].any() or _BLANK[content[lasts]].any():
        dark = np.append(np.flatnonzero(~_BLANK[content] & (content != _NEWLINE)), len(content))
        firsts = dark[np.searchsorted(dark, cut.starts)]
        lasts = dark[np.searchsorted(dark, cut.ends) - 1]
        blank = firsts >= cut.ends
    first, last = (content[np.where(blank, 0, places)] for places in (firsts, lasts))
    wrong = (_FIRST[first] & _LAST[last]) == 0
    wrong |= (first == ord('"')) & (firsts == lasts)
    wrong = np.flatnonzero(wrong & ~blank)
    if len(wrong):
        raise InputCorrupt(
            f"{cut.url}: the line at byte {int(cut.offsets[wrong[0]])} is no JSON value; inputFormat jsonl wants a "
            "whole one on each line. Put each document on one line, or use lines or whole"
        )
    return blank
