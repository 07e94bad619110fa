"""Where the parts that `-k` options name lie in many keys at once: what Hadoop's KeyFieldHelper finds for one key."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from apollo_common.key_parts import KeyPart
from apollo_worker.core.columns import Bytes
from apollo_worker.core.fields import Positions, nth_separators


class FoundParts(NamedTuple):
    """Part i is content[starts[i] : ends[i]]; where a key has none, it is empty and at the key's end."""

    starts: Positions
    ends: Positions
    missing: NDArray[np.bool_]


def find_parts(content: Bytes, starts: Positions, ends: Positions, separator: bytes, part: KeyPart) -> FoundParts:
    """Key i is content[starts[i] : ends[i]]. A part that would begin behind its key's end, or at it, is missing."""
    begins = _field_starts(content, starts, ends, separator, part.first_field) + (part.first_byte - 1)
    missing = begins > ends if part.there_if_empty else begins >= ends
    begins = np.minimum(begins, ends)
    if not part.last_field:
        stops = ends
    elif part.last_byte:
        last = _field_starts(content, starts, ends, separator, part.last_field) + part.last_byte
        stops = np.minimum(last, ends)
    else:
        stops = nth_separators(content, starts, ends, separator, part.last_field)
    return FoundParts(begins, np.maximum(stops, begins), missing)


def _field_starts(content: Bytes, starts: Positions, ends: Positions, separator: bytes, field: int) -> Positions:
    """Where a field begins; behind the key's end where the key has fewer fields."""
    if field == 1:
        return starts
    return nth_separators(content, starts, ends, separator, field - 1) + len(separator)
