"""Sorts pairs by (partition, key bytes), stable, without a Python loop over records.

Partition, leading key bits and row number are packed into one 64-bit integer, and the integers themselves are sorted
(numpy's SIMD sort). Rows that tie on the packed key bits are then packed again with the bits that follow, until their
keys end. The row number makes every integer unique, which keeps the order stable.
"""

from dataclasses import dataclass
from functools import cmp_to_key

import numpy as np
from numpy.typing import NDArray

from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import Bytes, Offsets
from apollo_worker.core.fields import Positions
from apollo_worker.shuffle.key_ranges import KeyRanges
from apollo_worker.shuffle.keys import SPARE_BYTES, KeyBlock, Words, bits_at, overlapping_words
from apollo_worker.shuffle.partition import Partitioner, hash_keys

Rows = NDArray[np.int32]

_BLOCK_ROWS = 1 << 15  # what fits the processor's caches while rows are packed
_SAMPLED_ROWS = 1 << 13
_REPEATING_SHARE = 0.6  # of distinct keys in the sample; with more, finding the distinct keys costs more than it saves
_WORD_BITS = 64
_MAX_KEY_BITS = 57  # an unaligned read yields at least this many
_VECTOR_ROUNDS = 16  # about 100 bytes of shared prefix
_FEW_ROWS = 512  # so few long keys are compared one by one: a round over them would cost more than it settles
_COMPARED_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class SortedRows:
    """Row numbers in (partition, key) order, and how many rows each partition has."""

    order: Rows
    counts: NDArray[np.int64]


def sort_rows(
    offsets: Offsets,
    content: Bytes,
    partitioner: Partitioner | KeyRanges | None,
    partitions: int,
    scratch: Words | None = None,
) -> SortedRows:
    """Sort keys; key i is content[offsets[i] : offsets[i + 1]] and `content` has 8 spare bytes behind the last key.

    Without a partitioner (or with one partition) rows are sorted by key alone. `scratch` holds at least one word per
    row. Needs about 14 bytes a row beside it, and up to 40 for rows that tie.
    """
    count = len(offsets) - 1
    if not count:
        return SortedRows(np.zeros(0, np.int32), np.zeros(partitions, np.int64))
    if isinstance(partitioner, KeyRanges):
        order = sort_rows(offsets, content, None, 1, scratch).order
        return SortedRows(order, partitioner.counts(order, offsets, content, partitions))
    packed = (np.empty(count, np.uint64) if scratch is None else scratch)[:count]
    sort = _sort_distinct if _repeats(offsets, content) else _sort_packed
    return sort(offsets, content, partitioner, partitions, packed)


def _sort_packed(
    offsets: Offsets, content: Bytes, partitioner: Partitioner | None, partitions: int, packed: Words
) -> SortedRows:
    """Sort by (partition, leading key bits, row), then settle ties. `packed` is scratch of one word per row."""
    count = len(packed)
    counts = np.zeros(partitions, np.int64)
    words = overlapping_words(content)
    row_bits = max(1, (count - 1).bit_length())
    partition_bits = (partitions - 1).bit_length()
    key_bits = min(_WORD_BITS - row_bits - partition_bits, _MAX_KEY_BITS)
    for start in range(0, count, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, count)
        bounds = offsets[start : stop + 1]
        block = KeyBlock(content, words, bounds[:-1], np.diff(bounds))
        items = block.first_words.byteswap()
        items >>= np.uint64(_WORD_BITS - key_bits)
        items <<= np.uint64(row_bits)
        if partitions > 1 and partitioner is not None:
            chosen = partitioner.partition(block, partitions)
            counts += np.bincount(chosen.astype(np.int64), minlength=partitions)
            items |= chosen << np.uint64(_WORD_BITS - partition_bits)
        else:
            counts[0] += stop - start
        items |= np.arange(start, stop, dtype=np.uint64)
        packed[start:stop] = items
    packed.sort()
    order = (packed & np.uint64((1 << row_bits) - 1)).astype(np.int32)
    packed >>= np.uint64(row_bits)
    _resolve_ties(packed, order, key_bits, offsets, content, words)
    return SortedRows(order, counts)


def _repeats(offsets: Offsets, content: Bytes) -> bool:
    """Whether many of the rows seem to share their key with others, judged by a sample."""
    count = len(offsets) - 1
    if count < _SAMPLED_ROWS:
        return False
    rows = np.arange(0, count, count // _SAMPLED_ROWS)
    starts = offsets[rows]
    sample = hash_keys(KeyBlock(content, overlapping_words(content), starts, offsets[rows + 1] - starts))
    return len(np.unique(sample)) < len(rows) * _REPEATING_SHARE


def _sort_distinct(
    offsets: Offsets, content: Bytes, partitioner: Partitioner | None, partitions: int, packed: Words
) -> SortedRows:
    """Sort the distinct keys only, then the rows by (rank of their key, row): no ties to settle row by row."""
    encoded = binary_array(offsets, content).dictionary_encode()
    distinct_offsets, distinct = binary_columns(encoded.dictionary)
    padded = np.concatenate([distinct, np.zeros(SPARE_BYTES, np.uint8)])
    keys = len(distinct_offsets) - 1
    sorted_keys = _sort_packed(distinct_offsets, padded, partitioner, partitions, np.empty(keys, np.uint64))
    ranks = np.empty(keys, np.uint64)
    ranks[sorted_keys.order] = np.arange(keys, dtype=np.uint64)
    of_rows = ranks[encoded.indices.to_numpy()]
    row_bits = max(1, (len(packed) - 1).bit_length())
    np.left_shift(of_rows, np.uint64(row_bits), out=packed)
    packed |= np.arange(len(packed), dtype=np.uint64)
    packed.sort()
    packed &= np.uint64((1 << row_bits) - 1)
    rows_before = np.append(0, np.cumsum(np.bincount(of_rows.astype(np.int64), minlength=keys)))
    counts = np.diff(rows_before[np.cumsum(sorted_keys.counts)], prepend=0)
    return SortedRows(packed.astype(np.int32), counts)


def _resolve_ties(packed: Words, order: Rows, bit: int, offsets: Offsets, content: Bytes, words: Words) -> None:
    """Put rows whose `packed` values tie into the order of their keys from bit offset `bit` on. Changes `order`."""
    places: Rows | None = None  # where in `order` the rows of `packed` stand; None: everywhere
    rounds = 0
    while (tied := _tied_groups(packed, order, places, bit, offsets)) is not None:
        places, groups, starts, lengths = tied
        rows = order[places]
        rounds += 1
        if bit >= 8 * int(lengths.max()):
            # Keys that differ in trailing NULs only: the shorter is the smaller.
            order[places] = rows[np.lexsort((lengths, groups))]
            return
        if rounds > _VECTOR_ROUNDS and len(rows) <= _FEW_ROWS:
            _sort_few(order, places, groups, offsets, content)
            return
        row_bits = max(1, (len(rows) - 1).bit_length())
        group_bits = max(1, int(groups[-1]).bit_length())
        key_bits = min(_WORD_BITS - row_bits - group_bits, _MAX_KEY_BITS)
        packed = bits_at(words, starts, lengths, bit)
        packed >>= np.uint64(_WORD_BITS - key_bits)
        packed <<= np.uint64(row_bits)
        packed |= groups.astype(np.uint64) << np.uint64(_WORD_BITS - group_bits)
        packed |= np.arange(len(rows), dtype=np.uint64)
        packed.sort()
        order[places] = rows[packed & np.uint64((1 << row_bits) - 1)]
        packed >>= np.uint64(row_bits)
        bit += key_bits


def _tied_groups(
    packed: Words, order: Rows, places: Rows | None, bit: int, offsets: Offsets
) -> tuple[Rows, Rows, Positions, Positions] | None:
    """The rows that still need sorting: their places, group numbers from 0 up, key starts and key lengths.

    A group is a run of equal `packed` values; groups whose keys have all ended at one length are equal and done.
    """
    same = packed[1:] == packed[:-1]
    if not same.any():
        return None
    follows = np.concatenate(([False], same))
    tied = follows.copy()
    tied[:-1] |= same
    members = np.flatnonzero(tied).astype(np.int32)
    first = ~follows[members]
    places = members if places is None else places[members]
    starts = offsets[order[places]]
    lengths = offsets[order[places] + 1] - starts
    open_row = lengths.astype(np.int64) * 8 > bit
    open_row[1:] |= (lengths[1:] != lengths[:-1]) & ~first[1:]
    open_group = np.logical_or.reduceat(open_row, np.flatnonzero(first))
    if not open_group.any():
        return None
    groups = np.cumsum(first, dtype=np.int32) - 1
    kept = open_group[groups]
    renumbered = np.cumsum(open_group, dtype=np.int32) - 1
    return places[kept], renumbered[groups[kept]], starts[kept], lengths[kept]


def _sort_few(order: Rows, places: Rows, groups: Rows, offsets: Offsets, content: Bytes) -> None:
    """Sort the rows of each group by comparing whole keys, a chunk at a time, without copying them."""

    def compare(left: int, right: int) -> int:
        left_length = int(offsets[left + 1] - offsets[left])
        right_length = int(offsets[right + 1] - offsets[right])
        for position in range(0, min(left_length, right_length), _COMPARED_BYTES):
            chunk = min(_COMPARED_BYTES, left_length - position, right_length - position)
            left_chunk = content[offsets[left] + position :][:chunk].tobytes()
            right_chunk = content[offsets[right] + position :][:chunk].tobytes()
            if left_chunk != right_chunk:
                return -1 if left_chunk < right_chunk else 1
        return left_length - right_length

    bounds = np.flatnonzero(np.diff(groups, prepend=-1, append=groups[-1] + 1))
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        group = places[start:stop]
        order[group] = sorted(order[group].tolist(), key=cmp_to_key(compare))
