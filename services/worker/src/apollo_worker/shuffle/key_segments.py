"""Segments of sort prefixes: parts of keys as bytes that compare, unsigned, as the parts should.

Each ends in END, which is nowhere else in it, so that no segment is the beginning of another one.

    missing   END                               before everything else
    text      its bytes with 00 as 01 01 and 01 as 01 02; an empty text is 01
    number    a byte for sign and number of integer digits (above LONG, that number follows in base 250), the integer
              digits without leading zeros, the fraction's without trailing ones. Of a negative number all of that is
              complemented and BEHIND_DIGITS follows, since fewer digits make it the larger one. Zero is ZERO alone.

A number is read as `sort -n` reads it: blanks, a minus sign, digits, a point, digits; what follows counts for nothing,
and no digits at all are zero.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import Bytes
from apollo_worker.core.fields import Positions
from apollo_worker.shuffle.key_parts import FoundParts

Columns = tuple[Any, ...]
"""Arrow arrays of bytes, or scalars for what all rows have."""

MAX_NUMBER_BYTES = 1 << 16
"""So far into a part its number is read: one of a giant key must not take many times the key's memory."""

END = 0
_ESCAPE = 1
_ZERO = 0x80
_LONG = 0xE5  # and more: this many integer digits less one, or the number of them follows
_MOST_DIGITS_IN_HEAD = _LONG - _ZERO - 1
_HEAD_BYTES = 5
_BASE, _FIRST_DIGIT = 250, 2  # so that no byte of the number, nor its complement, is an END
_BEHIND_DIGITS = 0xFE
_BLANKS = np.array([character in b" \t\n" for character in range(256)])
_DIGITS = np.array([character in b"0123456789" for character in range(256)])
_END, _NOTHING = pa.scalar(bytes([END]), pa.binary()), pa.scalar(b"", pa.binary())
_NO_TEXT = pa.scalar(bytes([_ESCAPE]), pa.binary())


def text_segments(content: Bytes, parts: FoundParts) -> Columns:
    """Columns that, side by side, are the segments of these parts of keys as texts."""
    texts = _slices(content, parts.starts, parts.ends)
    _, used = binary_columns(texts)
    if bool((used <= _ESCAPE).any()):
        texts = pc.replace_substring(texts, pattern=b"\x01", replacement=b"\x01\x02")
        texts = pc.replace_substring(texts, pattern=b"\x00", replacement=b"\x01\x01")
    empty = parts.starts == parts.ends
    if bool(empty.any()):
        texts = pc.if_else(pa.array(empty & ~parts.missing), _NO_TEXT, texts)
    return texts, _END


def number_segments(content: Bytes, parts: FoundParts) -> Columns:
    """The same as numbers."""
    texts = _slices(content, parts.starts, np.minimum(parts.ends, parts.starts + MAX_NUMBER_BYTES))
    offsets, digits = binary_columns(texts)
    if _are_plain(offsets, digits):
        lengths = np.diff(offsets)
        return _heads(lengths, lengths == 0, parts.missing), texts, _END
    number = _Numbers(offsets, digits)
    whole = _slices(digits, number.integer_starts, number.integer_ends)
    fraction = _slices(digits, number.fraction_starts, number.fraction_ends)
    heads = _heads(number.integer_ends - number.integer_starts, number.zero, parts.missing)
    negative = number.negative & ~parts.missing
    if not bool(negative.any()):
        return heads, whole, fraction, _END
    offsets, used = binary_columns(joined((heads, whole, fraction)))
    masks = np.where(negative, np.uint8(0xFF), np.uint8(0))
    flipped = binary_array(offsets, used[offsets[0] : offsets[-1]] ^ np.repeat(masks, np.diff(offsets)))
    return flipped, pc.if_else(pa.array(negative), pa.scalar(bytes([_BEHIND_DIGITS, END]), pa.binary()), _END)


def inverted(segments: Columns) -> Columns:
    """The same in the opposite order."""
    offsets, content = binary_columns(joined(segments))
    return (binary_array(offsets, content ^ np.uint8(0xFF)),)


def joined(columns: Columns) -> Any:
    """Row by row, one after the other."""
    return pc.binary_join_element_wise(*columns, _NOTHING)


def _are_plain(offsets: Positions, content: Bytes) -> bool:
    """Whether all texts are digits, of which the first is no zero, or nothing."""
    filled = offsets[:-1][offsets[1:] > offsets[:-1]]
    return bool(_DIGITS[content].all() and (content[filled] != ord("0")).all())


class _Numbers:
    """Where sign and digits are in many texts that lie back to back."""

    def __init__(self, offsets: Positions, content: Bytes) -> None:
        ends = offsets[1:].astype(np.int64)
        begins = _skip(content, offsets[:-1].astype(np.int64), ends, ~_BLANKS)
        minus = _is(content, begins, ends, ord("-"))
        begins = begins + minus
        self.integer_ends = _skip(content, begins, ends, ~_DIGITS)
        self.integer_starts = np.minimum(_skip(content, begins, ends, _OTHER_THAN_ZERO), self.integer_ends)
        self.fraction_starts = self.integer_ends + _is(content, self.integer_ends, ends, ord("."))
        behind = _skip(content, self.fraction_starts, ends, ~_DIGITS)
        self.fraction_ends = np.maximum(_skip_back(content, behind, _OTHER_THAN_ZERO), self.fraction_starts)
        self.zero = (self.integer_starts == self.integer_ends) & (self.fraction_starts == self.fraction_ends)
        self.negative = minus & ~self.zero


_OTHER_THAN_ZERO = np.array([character != ord("0") for character in range(256)])


def _heads(integer_digits: Positions, zero: NDArray[np.bool_], missing: NDArray[np.bool_]) -> Any:
    """A byte for each number, with the number of integer digits in four more where those are many; none if missing."""
    first = np.where(zero, _ZERO, _ZERO + 1 + np.minimum(integer_digits, _MOST_DIGITS_IN_HEAD)).astype(np.uint8)
    many = integer_digits >= _MOST_DIGITS_IN_HEAD
    if not bool(many.any() or missing.any()):
        return binary_array(np.arange(len(first) + 1, dtype=np.int32), first)
    heads = np.empty((len(zero), _HEAD_BYTES), np.uint8)
    heads[:, 0] = first
    used = np.zeros(heads.shape, bool)
    used[:, 0] = ~missing
    used[:, 1:] = (many & ~missing)[:, np.newaxis]
    rest = integer_digits
    for column in range(_HEAD_BYTES - 1, 0, -1):
        heads[:, column] = rest % _BASE + _FIRST_DIGIT
        rest = rest // _BASE
    offsets = np.zeros(len(zero) + 1, np.int32)
    np.cumsum(used.sum(axis=1), out=offsets[1:])
    return binary_array(offsets, heads[used])


def _slices(content: Bytes, starts: Positions, ends: Positions) -> Any:
    """The texts content[starts[i] : ends[i]], which rise and do not overlap, as an Arrow array of its own."""
    bounds = np.empty(2 * len(starts) + 1, np.int32)
    bounds[:-1:2] = starts
    bounds[1::2] = ends
    bounds[-1] = ends[-1]
    return binary_array(bounds, content).take(pa.array(np.arange(0, 2 * len(starts), 2, dtype=np.int32)))


def _skip(content: Bytes, begins: Positions, ends: Positions, wanted: NDArray[np.bool_]) -> Positions:
    """The first place from `begins` on with a wanted byte; `ends` where there is none."""
    places = np.flatnonzero(wanted[content])
    found: Positions = np.append(places, len(content))[np.searchsorted(places, begins)]
    return np.minimum(found, ends)


def _skip_back(content: Bytes, ends: Positions, wanted: NDArray[np.bool_]) -> Positions:
    """Behind the last place before `ends` with a wanted byte; 0 where there is none."""
    places = np.flatnonzero(wanted[content])
    behind: Positions = np.append(0, places + 1)[np.searchsorted(places, ends)]
    return behind


def _is(content: Bytes, positions: Positions, ends: Positions, byte: int) -> NDArray[np.bool_]:
    padded = np.append(content, np.uint8(0))
    found: NDArray[np.bool_] = (positions < ends) & (padded[positions] == byte)
    return found
