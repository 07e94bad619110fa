"""Records that end with a delimiter of the job's own: any bytes, found from left to right without overlap."""

import numpy as np

from apollo_worker.core.columns import RecordBlock
from apollo_worker.input.scanner import Beginning, Boundaries, Cut, Positions, as_bytes

_COMPARED_EVERYWHERE = 4  # bytes of a delimiter; further ones where those are found
_LOOK_BACK_BYTES = 1 << 20


class DelimiterScanner:
    """See Scanner and LookBack. In Hadoop a record belongs to the extent where the delimiter before it begins."""

    max_record_bytes: int | None = None
    window_bytes = _LOOK_BACK_BYTES

    def __init__(self, delimiter: bytes, *, as_hadoop: bool = False) -> None:
        self.drops_bom = as_hadoop
        self.parting_bytes = len(delimiter)
        self.owned_shift = len(delimiter) if as_hadoop else 0
        self._delimiter = delimiter

    @property
    def overlaps_itself(self) -> bool:
        r"""Whether its ends are alike, as of `\n\n`: then what a cut lies in depends on what is before it."""
        return any(self._delimiter.startswith(self._delimiter[at:]) for at in range(1, len(self._delimiter)))

    def scan(self, data: bytes, *, at_record: bool, final: bool) -> Boundaries:  # noqa: ARG002  # a Scanner's
        found = _without_overlap(occurrences(data, self._delimiter), len(self._delimiter))
        return Boundaries(found, found + len(self._delimiter))

    def block(self, cut: Cut) -> RecordBlock:
        return cut.sized(cut.gathered())

    def settle(self, window: bytes, *, whole: bool) -> Beginning | None:
        """Behind a delimiter that none before it overlaps; or where none can have begun."""
        size = len(self._delimiter)
        found = occurrences(window, self._delimiter)
        if not len(found):
            if not whole and len(window) < 2 * (size - 1):
                return None
            start = max(0, len(window) - size + 1)
            return Beginning(start, at_record=whole and start == 0)
        alone = np.diff(found, prepend=found[0] - size) >= size
        alone[0] = whole or found[0] >= size - 1
        last = np.flatnonzero(alone)
        return Beginning(int(found[last[-1]]) + size, at_record=True) if len(last) else None


def occurrences(data: bytes, pattern: bytes) -> Positions:
    """Where `pattern` is found, also overlapping."""
    if pattern not in data:
        return np.empty(0, np.int64)
    content = as_bytes(data)
    last = len(data) - len(pattern)
    here = content[: last + 1] == pattern[0]
    for at, byte in enumerate(pattern[1:_COMPARED_EVERYWHERE], 1):
        here &= content[at : last + 1 + at] == byte
    found = np.flatnonzero(here)
    for at, byte in enumerate(pattern[_COMPARED_EVERYWHERE:], _COMPARED_EVERYWHERE):
        found = found[content[found + at] == byte]
    return found


def _without_overlap(found: Positions, size: int) -> Positions:
    """Those that a search from left to right takes: the first, then each that starts behind the last one's end.

    By pointer doubling: after round k all are marked that 2^k steps or fewer lead to.
    """
    if size == 1 or not len(found) or int(np.diff(found, prepend=found[0] - size).min()) >= size:
        return found
    count = len(found)
    following = np.append(np.searchsorted(found, found + size), count)
    taken = np.zeros(count + 1, np.bool_)
    taken[0] = True
    for _ in range(count.bit_length()):
        taken[following[taken]] = True
        following = following[following]
    return found[taken[:count]]
