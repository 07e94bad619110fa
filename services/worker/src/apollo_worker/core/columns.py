"""Columnar batches of records: what flows between input, program, shuffle and output.

A batch is a handful of numpy arrays, so that no step needs a Python loop per record. Offsets are int32 with n + 1
entries and may start above 0 (a slice shares its parent's bytes); a batch therefore holds less than 2 GiB.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int32]
Lengths = NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class PairBatch:
    """n key/value pairs: key i is key_bytes[key_offsets[i]:key_offsets[i + 1]], values likewise."""

    key_offsets: Offsets
    key_bytes: Bytes
    value_offsets: Offsets
    value_bytes: Bytes

    def __len__(self) -> int:
        return len(self.key_offsets) - 1

    @property
    def size_bytes(self) -> int:
        """Bytes of keys and values, without the offsets."""
        keys = int(self.key_offsets[-1]) - int(self.key_offsets[0])
        return keys + int(self.value_offsets[-1]) - int(self.value_offsets[0])

    def slice(self, start: int, stop: int) -> "PairBatch":
        """Pairs start to stop, without copying."""
        return PairBatch(
            self.key_offsets[start : stop + 1], self.key_bytes, self.value_offsets[start : stop + 1], self.value_bytes
        )

    @classmethod
    def from_pairs(cls, pairs: list[tuple[bytes, bytes]]) -> "PairBatch":
        """A small batch from Python objects; for tests and edges, not for the data path."""
        key_offsets, key_bytes = _column([key for key, _ in pairs])
        value_offsets, value_bytes = _column([value for _, value in pairs])
        return cls(key_offsets, key_bytes, value_offsets, value_bytes)

    def to_pairs(self) -> list[tuple[bytes, bytes]]:
        """The pairs as Python objects; for tests and edges, not for the data path."""
        keys = _items(self.key_offsets, self.key_bytes)
        return list(zip(keys, _items(self.value_offsets, self.value_bytes), strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class GroupBatch:
    """g keys, each with its values: group i has value_counts[i] values, in order.

    `continues` says that the first group goes on from the last one of the batch before.
    """

    continues: bool
    key_offsets: Offsets
    key_bytes: Bytes
    value_counts: Lengths
    value_offsets: Offsets
    value_bytes: Bytes

    def __len__(self) -> int:
        return len(self.key_offsets) - 1


@dataclass(frozen=True, slots=True, eq=False)
class RecordBlock:
    r"""Whole input records of one object, in order.

    Lines: `lengths` is None and every record in `data` ends with one `\\n` (the reader has made `\\r\\n` into `\\n` and
    completed a last line without an end). Otherwise `data` holds the records back to back, `lengths` (bytes) cuts
    them. `first_offset` is the byte offset of the first record in the decoded object; `exact_offsets` is false when
    `\\r\\n` was replaced, or when what parts records lies between them, so that only the first one's offset is exact;
    then `offsets` has those of all, where whoever made the block knows them.
    """

    input_url: str
    data: bytes | memoryview
    count: int
    first_offset: int
    lengths: Lengths | None = None
    exact_offsets: bool = True
    offsets: NDArray[np.int64] | None = None


def _column(items: list[bytes]) -> tuple[Offsets, Bytes]:
    offsets = np.zeros(len(items) + 1, np.int32)
    np.cumsum([len(item) for item in items], out=offsets[1:], dtype=np.int32)
    return offsets, np.frombuffer(b"".join(items), np.uint8)


def _items(offsets: Offsets, content: NDArray[Any]) -> list[bytes]:
    raw = content.tobytes()
    bounds = offsets.tolist()
    return [raw[start:stop] for start, stop in pairwise(bounds)]
