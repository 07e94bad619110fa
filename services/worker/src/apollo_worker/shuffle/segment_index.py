"""The index of a map output: where each partition's batches lie in the data file. All integers are little-endian.

    header      magic (8 bytes), partitions u32, batches u32
    directory   per partition 16 bytes: offset u64 and length u32 of its block, checksum u32
    blocks      per partition: number of batches u32, a 32-byte entry per batch, the batches' first keys back to back

A partition's checksum is the CRC-32 of (partition u32, offset, length, block), so a reader fetches one directory entry
and one block and trusts nothing else. First keys are kept up to FIRST_KEY_BYTES; an entry tells the whole length.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FIRST_KEY_BYTES = 1024
ENTRY = np.dtype(
    [
        ("offset", "<u8"),  # of the batch's Arrow message in the data file
        ("length_bytes", "<u4"),
        ("rows", "<u4"),
        ("checksum", "<u4"),  # CRC-32 of the message
        ("run", "<u4"),  # batches of one run are sorted among themselves
        ("key_bytes", "<u4"),  # length of the first key
        ("partition", "<u4"),
    ]
)
Entries = NDArray[np.void]

_MAGIC = b"APSHIDX1"
_HEADER = struct.Struct("<8sII")
_DIRECTORY = struct.Struct("<QII")
_COUNT = struct.Struct("<I")
_CHECKED = struct.Struct("<IQI")


class IndexDamaged(Exception):
    """The bytes are not what was written."""


@dataclass(frozen=True, slots=True)
class PartitionIndex:
    """The batches of one partition in file order, each with its first key, cut to FIRST_KEY_BYTES."""

    entries: Entries
    first_keys: list[bytes]


def encode_index(entries: Entries, first_keys: Sequence[bytes], partitions: int) -> bytes:
    """The whole index. Entries are in file order; `first_keys` are cut to FIRST_KEY_BYTES."""
    order = np.argsort(entries["partition"], kind="stable")
    bounds = np.searchsorted(entries["partition"][order], np.arange(partitions + 1))
    position = _HEADER.size + partitions * _DIRECTORY.size
    directory: list[bytes] = []
    blocks: list[bytes] = []
    for partition in range(partitions):
        rows = order[bounds[partition] : bounds[partition + 1]]
        block = _COUNT.pack(len(rows)) + entries[rows].tobytes() + b"".join([first_keys[row] for row in rows.tolist()])
        checksum = _checksum(partition, position, block)
        directory.append(_DIRECTORY.pack(position, len(block), checksum))
        blocks.append(block)
        position += len(block)
    return b"".join([_HEADER.pack(_MAGIC, partitions, len(entries)), *directory, *blocks])


def read_partition(read: Callable[[int, int], bytes], partition: int) -> PartitionIndex:
    """One partition's part of an index; `read(offset, length)` yields exactly that range or raises.

    Raises IndexDamaged when a checksum does not match.
    """
    entry = read(*entry_range(partition))
    return decode_partition(partition, entry, read(*block_range(entry)))


def entry_range(partition: int) -> tuple[int, int]:
    """Offset and length of a partition's entry in the directory."""
    return _HEADER.size + partition * _DIRECTORY.size, _DIRECTORY.size


def block_range(entry: bytes) -> tuple[int, int]:
    """Offset and length of the block that a directory entry names."""
    offset, length, _ = _DIRECTORY.unpack(entry)
    return offset, length


def decode_partition(partition: int, entry: bytes, block: bytes) -> PartitionIndex:
    """A partition's directory entry and block -> what they say. IndexDamaged."""
    offset, _, checksum = _DIRECTORY.unpack(entry)
    if _checksum(partition, offset, block) != checksum:
        raise IndexDamaged
    return _decode_block(block)


def _decode_block(block: bytes) -> PartitionIndex:
    (count,) = _COUNT.unpack_from(block)
    entries = np.frombuffer(block, ENTRY, count, _COUNT.size)
    kept = np.minimum(entries["key_bytes"], FIRST_KEY_BYTES).astype(np.int64)
    ends = _COUNT.size + count * ENTRY.itemsize + np.cumsum(kept)
    spans = zip((ends - kept).tolist(), ends.tolist(), strict=True)
    return PartitionIndex(entries, [block[start:stop] for start, stop in spans])


def _checksum(partition: int, offset: int, block: bytes) -> int:
    return zlib.crc32(block, zlib.crc32(_CHECKED.pack(partition, offset, len(block))))
