"""Keys as columns of 64-bit words: how partitioners and the sort read many keys at once.

Key bytes lie back to back with at least 8 spare bytes behind the last one, so a word may be read at any byte position
of any key; the bytes beyond a key's end are masked off.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from apollo_worker.core.columns import Bytes
from apollo_worker.core.fields import Positions

Words = NDArray[np.uint64]

SPARE_BYTES = 8
_MASKS = np.array([(1 << (8 * count)) - 1 for count in range(9)], np.uint64)


def overlapping_words(content: Bytes) -> Words:
    """A view in which item i is the little-endian word at byte i of `content`; the last 7 bytes start no word."""
    return np.ndarray((len(content) - 7,), "<u8", content.data, 0, (1,))


def words_at(words: Words, positions: Positions, remaining: Positions) -> Words:
    """The words at byte `positions`; of each the first `remaining` bytes (0 or more) are kept, others are zero."""
    found: Words = words[positions]
    found &= _MASKS[np.minimum(remaining, 8)]
    return found


def bits_at(words: Words, positions: Positions, remaining: Positions, bit: int) -> Words:
    """At least 57 key bits from bit offset `bit` of each key, most significant first, left-aligned, zero-padded.

    `positions` are the keys' first bytes, `remaining` their lengths in bytes.
    """
    skipped = bit >> 3
    inside = np.minimum(positions + skipped, len(words) - 1)
    found = words_at(words, inside, np.maximum(remaining - skipped, 0)).byteswap()
    if bit & 7:
        found <<= np.uint64(bit & 7)
    return found


@dataclass(frozen=True)
class KeyBlock:
    """Keys that lie back to back: key i is content[starts[i] : starts[i] + lengths[i]]; 8 more bytes may be read."""

    content: Bytes
    words: Words
    starts: Positions
    lengths: Positions

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def first_words(self) -> Words:
        """The first 8 bytes of every key, little-endian, zero-padded. Shared: callers copy before they change it."""
        return words_at(self.words, self.starts, self.lengths)
