"""Partitioners: which reduce partition a key belongs to. docs/partitioners.md defines each, with test vectors."""

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apollo_common.errors import InvalidPartitioner
from apollo_worker.shuffle.keys import KeyBlock, Positions, Words, words_at

HASHED_BYTES = 1024  # of a longer key, only this many bytes are hashed; a giant key must not cost a loop over its words
MAX_FIELDS = 10_000
_LENGTH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_WORD_FACTOR = np.uint64(0xFF51AFD7ED558CCD)
_HALF = np.uint64(32)
_TAB = 9
_JAVA_FACTOR = 31
_JAVA_INVERSE = pow(_JAVA_FACTOR, -1, 1 << 32)
_JAVA_CHUNK_BYTES = 1 << 16


class Partitioner(Protocol):
    def partition(self, keys: KeyBlock, partitions: int) -> Words:
        """The partition, 0 to `partitions` - 1, of every key. Depends on nothing but the key's bytes."""
        ...


@dataclass(frozen=True, slots=True)
class HashPartitioner:
    """`hash`: a 64-bit multiply-xorshift hash of the key."""

    def partition(self, keys: KeyBlock, partitions: int) -> Words:
        return _scaled(hash_keys(keys), partitions)


@dataclass(frozen=True, slots=True)
class FieldPartitioner:
    """`field:N`: the same hash over the first N tab-separated fields of the key, the whole key if it has fewer."""

    fields: int

    def partition(self, keys: KeyBlock, partitions: int) -> Words:
        tabs = _tab_positions(keys)
        ends = keys.starts + keys.lengths
        nth = np.searchsorted(tabs, keys.starts) + (self.fields - 1)
        cut = np.append(tabs, np.iinfo(np.int64).max)[np.minimum(nth, len(tabs))]
        lengths = np.minimum(cut, ends) - keys.starts
        return _scaled(hash_keys(KeyBlock(keys.content, keys.words, keys.starts, lengths)), partitions)


@dataclass(frozen=True, slots=True)
class HadoopPartitioner:
    """`hadoop`: as Hadoop's HashPartitioner places a `Text` or `BytesWritable` key of these bytes.

    Source: org.apache.hadoop.io.WritableComparator.hashBytes and org.apache.hadoop.mapred.lib.HashPartitioner.
    """

    def partition(self, keys: KeyBlock, partitions: int) -> Words:
        positive = java_hash_keys(keys) & np.uint32(0x7FFFFFFF)
        return (positive % np.uint32(partitions)).astype(np.uint64)


def parse_partitioner(text: str) -> Partitioner:
    """The partitioner that a job names; InvalidPartitioner when there is none of that name."""
    match text.partition(":"):
        case ("hash", "", ""):
            return HashPartitioner()
        case ("hadoop", "", ""):
            return HadoopPartitioner()
        case ("field", ":", number) if number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= MAX_FIELDS:
            return FieldPartitioner(int(number))
        case ("field", _, _):
            raise InvalidPartitioner(
                f"partitioner {text!r}: give the number of fields, from 1 to {MAX_FIELDS}, as in 'field:2'"
            )
        case ("range", _, _):
            raise InvalidPartitioner(
                "partitioner 'range' is not available in this version; use 'hash', 'field:N' or 'hadoop'"
            )
    raise InvalidPartitioner(f"unknown partitioner {text!r}; use 'hash', 'field:N' or 'hadoop'")


def hash_keys(keys: KeyBlock) -> Words:
    """The documented 64-bit hash of every key. Keys need not lie back to back."""
    lengths = np.minimum(keys.lengths, HASHED_BYTES)
    hashes = keys.lengths.astype(np.uint64)
    hashes *= _LENGTH_FACTOR
    hashes ^= keys.first_words
    _mix(hashes, _WORD_FACTOR)
    rows = np.flatnonzero(lengths > 8)
    for position in range(8, int(lengths.max(initial=0)), 8):
        rows = rows[lengths[rows] > position]
        partial = hashes[rows]
        partial ^= words_at(keys.words, keys.starts[rows] + position, lengths[rows] - position)
        _mix(partial, _WORD_FACTOR)
        hashes[rows] = partial
    _mix(hashes, _LENGTH_FACTOR)
    return hashes


def java_hash_keys(keys: KeyBlock) -> NDArray[np.uint32]:
    """Java's `hash = 31 * hash + signed byte`, from 1, over the bytes of every key, in 32 bits.

    Keys are cut into pieces that lie within one chunk of the content. Within a chunk the sum of
    byte * 31 ** -position is a running sum, so a piece costs two look-ups however long it is.
    """
    hashes = np.ones(len(keys), np.uint32)
    starts, ends = keys.starts, keys.starts + keys.lengths
    if not len(keys):
        return hashes
    powers = _powers(_JAVA_FACTOR)
    inverses = _powers(_JAVA_INVERSE)
    for chunk in range(int(starts[0]), int(ends[-1]), _JAVA_CHUNK_BYTES):
        stop = min(chunk + _JAVA_CHUNK_BYTES, int(ends[-1]))
        running = np.zeros(stop - chunk + 1, np.uint32)
        signed = keys.content[chunk:stop].view(np.int8).astype(np.int32).view(np.uint32)
        np.cumsum(signed * inverses[: stop - chunk], dtype=np.uint32, out=running[1:])
        rows = slice(int(np.searchsorted(ends, chunk, "right")), int(np.searchsorted(starts, stop, "left")))
        first = np.maximum(starts[rows], chunk) - chunk
        last = np.minimum(ends[rows], stop) - chunk
        piece = (running[last] - running[first]) * powers[np.maximum(last - 1, 0)]
        hashes[rows] = hashes[rows] * powers[last - first] + piece
    return hashes


def _mix(hashes: Words, factor: np.uint64) -> None:
    hashes *= factor
    hashes ^= hashes >> _HALF


def _scaled(hashes: Words, partitions: int) -> Words:
    """The upper 32 bits of the hash, scaled to the number of partitions."""
    scaled: Words = ((hashes >> _HALF) * np.uint64(partitions)) >> _HALF
    return scaled


def _tab_positions(keys: KeyBlock) -> Positions:
    if not len(keys):
        return np.zeros(0, np.int64)
    start, stop = int(keys.starts[0]), int(keys.starts[-1] + keys.lengths[-1])
    return np.flatnonzero(keys.content[start:stop] == _TAB) + start


@cache
def _powers(base: int) -> NDArray[np.uint32]:
    """Base ** 0 to base ** chunk, modulo 2 ** 32; shared, read-only."""
    factors = np.full(_JAVA_CHUNK_BYTES + 1, base, np.uint32)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint32)
