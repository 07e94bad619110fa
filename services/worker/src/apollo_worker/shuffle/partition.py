"""Partitioners: which reduce partition a key belongs to. docs/partitioners.md defines each, with test vectors."""

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from apollo_common.errors import InvalidPartitioner
from apollo_common.key_parts import KeyPart, parse_key_parts
from apollo_worker.core.columns import Bytes
from apollo_worker.core.fields import Positions, nth_separators
from apollo_worker.core.line_fields import TAB_SEPARATED
from apollo_worker.shuffle.key_parts import find_parts
from apollo_worker.shuffle.keys import KeyBlock, Words, words_at

HASHED_BYTES = 1024  # of a longer key, only this many bytes are hashed; a giant key must not cost a loop over its words
MAX_FIELDS = 10_000
_LENGTH_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_WORD_FACTOR = np.uint64(0xFF51AFD7ED558CCD)
_HALF = np.uint64(32)
_ALL = "'hash', 'field:N', 'hadoop', 'keyfields:OPTIONS' or 'range'"
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
    """`field:N`: the same hash over the first N fields of the key, the whole key if it has fewer."""

    fields: int
    separator: bytes = TAB_SEPARATED.separator

    def partition(self, keys: KeyBlock, partitions: int) -> Words:
        cuts = nth_separators(keys.content, keys.starts, keys.starts + keys.lengths, self.separator, self.fields)
        return _scaled(
            hash_keys(KeyBlock(keys.content, keys.words, keys.starts, cuts - keys.starts)),
            partitions,
        )


@dataclass(frozen=True, slots=True)
class HadoopPartitioner:
    """`hadoop`: as Hadoop's HashPartitioner places a `Text` or `BytesWritable` key of these bytes.

    Source: org.apache.hadoop.io.WritableComparator.hashBytes and org.apache.hadoop.mapred.lib.HashPartitioner.
    """

    def partition(self, keys: KeyBlock, partitions: int) -> Words:
        return _as_java_does(java_hash_keys(keys), partitions)


@dataclass(frozen=True, slots=True)
class KeyFieldsPartitioner:
    """`keyfields:OPTIONS`: as Hadoop's KeyFieldBasedPartitioner places a key by the parts that the options name.

    Source: org.apache.hadoop.mapreduce.lib.partition.KeyFieldBasedPartitioner.
    """

    parts: tuple[KeyPart, ...]
    separator: bytes = TAB_SEPARATED.separator

    def partition(self, keys: KeyBlock, partitions: int) -> Words:
        hashes = np.zeros(len(keys), np.uint32)
        ends = keys.starts + keys.lengths
        for part in self.parts:
            starts, stops, _ = find_parts(keys.content, keys.starts, ends, self.separator, part)
            extend_java_hashes(hashes, keys.content, starts, stops)
        return _as_java_does(hashes, partitions)


def parse_partitioner(text: str, separator: bytes = TAB_SEPARATED.separator) -> Partitioner:
    """The partitioner that a job names; InvalidPartitioner when there is none of that name.

    `separator` is what fields of a key are separated by.
    """
    match text.partition(":"):
        case ("hash", "", ""):
            return HashPartitioner()
        case ("hadoop", "", ""):
            return HadoopPartitioner()
        case ("field", ":", number) if number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= MAX_FIELDS:
            return FieldPartitioner(int(number), separator)
        case ("field", _, _):
            raise InvalidPartitioner(
                f"partitioner {text!r}: give the number of fields, from 1 to {MAX_FIELDS}, as in 'field:2'"
            )
        case ("keyfields", ":", options):
            try:
                return KeyFieldsPartitioner(parse_key_parts(options), separator)
            except ValueError as error:
                raise InvalidPartitioner(f"partitioner {text[:80]!r}: {error}") from None
    raise InvalidPartitioner(f"unknown partitioner {text[:80]!r}; use {_ALL}")


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
    """Java's `hash = 31 * hash + signed byte`, from 1, over the bytes of every key, in 32 bits."""
    hashes = np.ones(len(keys), np.uint32)
    extend_java_hashes(hashes, keys.content, keys.starts, keys.starts + keys.lengths)
    return hashes


def extend_java_hashes(hashes: NDArray[np.uint32], content: Bytes, starts: Positions, ends: Positions) -> None:
    """Go on with every hash over the bytes content[starts[i] : ends[i]], which rise and do not overlap.

    They are cut into pieces that lie within one chunk of the content. Within a chunk the sum of
    byte * 31 ** -position is a running sum, so a piece costs two look-ups however long it is.
    """
    if not len(hashes):
        return
    powers = _powers(_JAVA_FACTOR)
    inverses = _powers(_JAVA_INVERSE)
    for chunk in range(int(starts[0]), int(ends[-1]), _JAVA_CHUNK_BYTES):
        stop = min(chunk + _JAVA_CHUNK_BYTES, int(ends[-1]))
        running = np.zeros(stop - chunk + 1, np.uint32)
        signed = content[chunk:stop].view(np.int8).astype(np.int32).view(np.uint32)
        np.cumsum(signed * inverses[: stop - chunk], dtype=np.uint32, out=running[1:])
        rows = slice(int(np.searchsorted(ends, chunk, "right")), int(np.searchsorted(starts, stop, "left")))
        first = np.maximum(starts[rows], chunk) - chunk
        last = np.minimum(ends[rows], stop) - chunk
        piece = (running[last] - running[first]) * powers[np.maximum(last - 1, 0)]
        hashes[rows] = hashes[rows] * powers[last - first] + piece


def _mix(hashes: Words, factor: np.uint64) -> None:
    hashes *= factor
    hashes ^= hashes >> _HALF


def _scaled(hashes: Words, partitions: int) -> Words:
    """The upper 32 bits of the hash, scaled to the number of partitions."""
    scaled: Words = ((hashes >> _HALF) * np.uint64(partitions)) >> _HALF
    return scaled


def _as_java_does(hashes: NDArray[np.uint32], partitions: int) -> Words:
    return ((hashes & np.uint32(0x7FFFFFFF)) % np.uint32(partitions)).astype(np.uint64)


@cache
def _powers(base: int) -> NDArray[np.uint32]:
    """Base ** 0 to base ** chunk, modulo 2 ** 32; shared, read-only."""
    factors = np.full(_JAVA_CHUNK_BYTES + 1, base, np.uint32)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint32)
