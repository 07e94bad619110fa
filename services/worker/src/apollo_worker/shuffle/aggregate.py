"""Folds that make one number of a key's values: sum, least, greatest, count.

Values are decimal integers: an optional sign and ASCII digits, nothing else. Batches whose numbers and sums fit 64 bits
are worked on as columns; others fall back to Python's integers, so nothing ever wraps.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from apollo_common.errors import InvalidValue
from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import PairBatch
from apollo_worker.shuffle.group import group_starts, key_at

Numbers = NDArray[Any]  # int64, or object for Python integers
Starts = NDArray[np.int64]

MAX_DIGITS = 4000  # Python refuses to convert more by default
_INTEGER = re.compile(rb"[+-]?[0-9]{1,%d}" % MAX_DIGITS)
_SHOWN_BYTES = 80


class _NumberFold(ABC):
    """Keeps the number of the last key open, since the next batch may go on with it."""

    def __init__(self) -> None:
        self._key: bytes | None = None
        self._number = 0

    def push(self, batch: PairBatch) -> Iterator[PairBatch]:
        starts = group_starts(batch)
        numbers = self._reduced(batch, starts)
        settled: list[Any] = []
        if self._key is not None and self._key == key_at(batch, 0):
            numbers = _with_first(numbers, self._joined(self._number, int(numbers[0])))
        elif self._key is not None:
            settled.append(_pair(self._key, self._number))
        self._key, self._number = key_at(batch, len(batch) - 1), int(numbers[-1])
        if len(starts) > 1:
            keys = pc.take(binary_array(batch.key_offsets, batch.key_bytes), pa.array(starts[:-1]))
            settled.append((keys, _decimals(numbers[:-1])))
        for keys, values in settled:
            yield PairBatch(*binary_columns(keys), *binary_columns(values))

    def end(self) -> Iterator[PairBatch]:
        if self._key is not None:
            keys, values = _pair(self._key, self._number)
            yield PairBatch(*binary_columns(keys), *binary_columns(values))

    @abstractmethod
    def _reduced(self, batch: PairBatch, starts: Starts) -> Numbers:
        """One number per group of the batch; groups begin at `starts`."""

    @abstractmethod
    def _joined(self, left: int, right: int) -> int:
        """One number of two parts of a group."""


class SumFold(_NumberFold):
    def _reduced(self, batch: PairBatch, starts: Starts) -> Numbers:
        numbers = parse_integers(batch)
        longest = int(np.diff(starts, append=len(batch)).max())
        if numbers.dtype != object and longest * max(int(numbers.max()), -int(numbers.min())) > np.iinfo(np.int64).max:
            numbers = numbers.astype(object)
        return np.add.reduceat(numbers, starts)

    def _joined(self, left: int, right: int) -> int:
        return left + right


class MinFold(_NumberFold):
    def _reduced(self, batch: PairBatch, starts: Starts) -> Numbers:
        return np.minimum.reduceat(parse_integers(batch), starts)

    def _joined(self, left: int, right: int) -> int:
        return min(left, right)


class MaxFold(_NumberFold):
    def _reduced(self, batch: PairBatch, starts: Starts) -> Numbers:
        return np.maximum.reduceat(parse_integers(batch), starts)

    def _joined(self, left: int, right: int) -> int:
        return max(left, right)


class CountFold(_NumberFold):
    def _reduced(self, batch: PairBatch, starts: Starts) -> Numbers:
        return np.diff(starts, append=len(batch))

    def _joined(self, left: int, right: int) -> int:
        return left + right


def parse_integers(batch: PairBatch) -> Numbers:
    """The values as integers: int64 if all fit, else Python's. Raises InvalidValue, which names key and value."""
    content = batch.value_bytes[batch.value_offsets[0] : batch.value_offsets[-1]]
    # Arrow would also read hexadecimal, so let it see nothing but digits and minus signs.
    if bool(((content - np.uint8(ord("0")) < 10) | (content == ord("-"))).all()):
        texts = binary_array(batch.value_offsets, batch.value_bytes).view(pa.string())
        try:
            numbers: Numbers = pc.cast(texts, pa.int64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            return _parse_each(batch)
        return numbers
    return _parse_each(batch)


def _parse_each(batch: PairBatch) -> Numbers:
    """For the rare batch with a number beyond 64 bits, a plus sign, or a value that is no integer."""
    numbers = np.empty(len(batch), object)
    for row, value in enumerate(binary_array(batch.value_offsets, batch.value_bytes).to_pylist()):
        if _INTEGER.fullmatch(value) is None:
            raise InvalidValue(
                f"the key {_shown(key_at(batch, row))} has the value {_shown(value)}, which is no decimal integer; "
                "sum, min and max take an optional sign and digits"
            )
        numbers[row] = int(value)
    return numbers


def _with_first(numbers: Numbers, first: int) -> Numbers:
    limits = np.iinfo(np.int64)
    changed = numbers.copy() if limits.min <= first <= limits.max else numbers.astype(object)
    changed[0] = first
    return changed


def _decimals(numbers: Numbers) -> Any:
    """The numbers as decimal text, a binary or string array."""
    if numbers.dtype == object:
        return pa.array([str(number).encode() for number in numbers], pa.binary())
    return pc.cast(pa.array(numbers), pa.string())


def _pair(key: bytes, number: int) -> tuple[Any, Any]:
    return pa.array([key], pa.binary()), pa.array([str(number).encode()], pa.binary())


def _shown(content: bytes) -> str:
    """Content for a message: in quotes, with escapes for what is no ASCII, cut when long."""
    return repr(content[:_SHOWN_BYTES]).removeprefix("b") + ("..." if len(content) > _SHOWN_BYTES else "")
