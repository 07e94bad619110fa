r"""JSON string escapes for whole columns.

Escaped are `"`, `\` and the control characters below space, as RFC 8259 section 7 asks; every other byte stays. Bytes
that are no UTF-8 are left to the caller, who sees them between ASCII quotes.
"""

from typing import Final

import numpy as np

from apollo_worker.core.columns import Bytes, Offsets

_SHORT: Final = {8: b"b", 9: b"t", 10: b"n", 12: b"f", 13: b"r", 34: b'"', 92: b"\\"}
_LONGEST: Final = 6  # \u001f


def _tables() -> tuple[Bytes, Bytes]:
    """By byte: the length of its escape (1: none), and the escape."""
    lengths = np.ones(256, np.uint8)
    escapes = np.zeros((256, _LONGEST), np.uint8)
    for byte in [*range(32), *_SHORT]:
        escape = b"\\" + _SHORT[byte] if byte in _SHORT else b"\\u%04x" % byte
        lengths[byte] = len(escape)
        escapes[byte, : len(escape)] = np.frombuffer(escape, np.uint8)
    return lengths, escapes


_LENGTHS, _ESCAPES = _tables()


def escape_column(offsets: Offsets, content: Bytes) -> tuple[Offsets, Bytes]:
    """The column with every string escaped; offsets start at 0. The very same arrays when nothing needs it."""
    first, last = int(offsets[0]), int(offsets[-1])
    used = content[first:last]
    special = np.flatnonzero(_LENGTHS[used] > 1)
    if not len(special):
        return offsets, content
    values = used[special]
    lengths = _LENGTHS[used]
    added = np.cumsum(lengths[special].astype(np.int64) - 1)
    escaped = np.repeat(used, lengths)
    begins = special + np.concatenate([[0], added[:-1]])
    for position in range(_LONGEST):
        longer = lengths[special] > position
        escaped[begins[longer] + position] = _ESCAPES[values[longer], position]
    before = np.searchsorted(special, offsets - first)
    grown = (offsets - first) + np.concatenate([[0], added])[before]
    return grown.astype(np.int32), escaped
