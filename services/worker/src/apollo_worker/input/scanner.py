"""What a format has to tell so that one cutter can cut objects of it anywhere: where records end, and how they look."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import Bytes, Lengths, RecordBlock

BOM = b"\xef\xbb\xbf"
"""UTF-8's byte order mark, as some programs put it before a text."""

Positions = NDArray[np.int64]


class Boundaries(NamedTuple):
    """Of n whole records: where each ends, and where the one behind it starts (what parts them lies between)."""

    ends: Positions
    nexts: Positions


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where reading begins. `at_record`: a record starts there; else what comes first is the rest of one."""

    offset: int
    at_record: bool


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """Some records, one behind the other, with what parts them. Never none.

    Record i is data[starts[i]:ends[i]], and begins at offsets[i] in the object. `unended`: the object ends with the
    last one, behind which nothing parts records.
    """

    url: str
    offsets: Positions
    data: bytes
    starts: Positions
    ends: Positions
    unended: bool

    @property
    def count(self) -> int:
        return len(self.starts)

    @property
    def offset(self) -> int:
        return int(self.offsets[0])

    @property
    def lengths(self) -> Lengths:
        return (self.ends - self.starts).astype(np.uint32)

    def gathered(self) -> memoryview:
        """The records' bytes back to back."""
        bounds = np.empty(2 * self.count, np.int32)
        bounds[0::2] = self.starts
        bounds[1::2] = self.ends
        segments = binary_array(bounds, np.frombuffer(self.data, np.uint8))
        offsets, content = binary_columns(segments.take(pa.array(np.arange(0, 2 * self.count, 2, dtype=np.int32))))
        return content[offsets[0] : offsets[-1]].data

    def sized(self, data: bytes | memoryview) -> RecordBlock:
        """A block of these records, whose bytes are `data`. Their offsets cannot be counted, for what parted them."""
        return RecordBlock(
            self.url, data, self.count, self.offset, self.lengths, exact_offsets=False, offsets=self.offsets
        )


class Scanner(Protocol):
    """One format. Pure, and without memory: what it says of some bytes depends on them alone."""

    drops_bom: bool  # whether a UTF-8 byte order mark at an object's start belongs to no record
    max_record_bytes: int | None  # that the format has for itself
    parting_bytes: int  # the most that part two records
    owned_shift: int  # an extent owns the records that start so many bytes behind it or later; the first one at 0, too

    def scan(self, data: bytes, *, at_record: bool, final: bool) -> Boundaries:
        """The whole records in `data`, of which the first starts with it if `at_record`. `final`: the object ends."""
        ...

    def block(self, cut: Cut) -> RecordBlock:
        """What the program gets. InputCorrupt."""
        ...


class LookBack(Protocol):
    """Finds out, from what lies before a cut, where to begin so that the records behind the cut are right."""

    window_bytes: int  # so many bytes before the cut are enough to tell, if any are

    def settle(self, window: bytes, *, whole: bool) -> Beginning | None:
        """Where in some bytes before the cut; None when earlier ones are needed. `whole`: the object starts with them.

        Bytes that are not whole start behind a byte order mark.
        """
        ...


def as_bytes(data: bytes) -> Bytes:
    return np.frombuffer(data, np.uint8)
