"""Fields of many byte strings at once: where a string's N-th separator begins.

Strings lie in one block of bytes, in rising order; separators are found from a string's beginning on and never overlap,
as `bytes.split` finds them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from apollo_worker.core.columns import Bytes

Positions = NDArray[np.signedinteger[Any]]


def nth_separators(content: Bytes, starts: Positions, ends: Positions, separator: bytes, number: int) -> Positions:
    """Where separator `number`, from 1, begins in each string; the string's end where it has fewer.

    String i is content[starts[i] : ends[i]].
    """
    if not len(starts):
        return ends
    first, last = int(starts[0]), int(ends[-1])
    found = _occurrences(content[first:last], separator) + first
    if number == 1 and len(found) == len(starts) and _one_in_each(found, starts, ends - (len(separator) - 1)):
        return found
    after = np.append(found, last)
    if number == 1 or not _overlaps_itself(separator):
        places = after[np.minimum(np.searchsorted(found, starts) + (number - 1), len(found))]
    else:
        places = after[np.searchsorted(found, starts)]
        for _ in range(number - 1):
            places = after[np.searchsorted(found, places + len(separator))]
    return np.where(places + len(separator) <= ends, places, ends)


def _occurrences(content: Bytes, separator: bytes) -> Positions:
    """All of them, also those that overlap."""
    found = np.flatnonzero(content[: max(len(content) - len(separator) + 1, 0)] == separator[0])
    for offset, byte in enumerate(separator[1:], 1):
        found = found[content[found + offset] == byte]
    return found


def _one_in_each(found: Positions, starts: Positions, ends: Positions) -> bool:
    return bool((found >= starts).all() and (found < ends).all())


def _overlaps_itself(separator: bytes) -> bool:
    """Whether it can begin within itself, like `::` in `:::`."""
    return any(separator.startswith(separator[start:]) for start in range(1, len(separator)))
