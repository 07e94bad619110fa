"""Chunks of records that a program can be run on by parts, however many blocks they lie in."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from apollo_worker.core.bisection import Span
from apollo_worker.core.columns import RecordBlock
from apollo_worker.core.record_rows import RecordRows

MAX_CHUNK_RECORDS = 1 << 16


class Chunk:
    """Some records of an input, numbered from 0."""

    def __init__(self, blocks: Sequence[RecordBlock]) -> None:
        """At least one block, none of them empty."""
        self._rows = [RecordRows(block) for block in blocks]
        self._firsts = list(accumulate((block.count for block in blocks), initial=0))
        self.records = self._firsts[-1]

    def blocks(self, span: Span) -> Iterator[RecordBlock]:
        """The records of a span."""
        for rows, (first, behind) in zip(self._rows, pairwise(self._firsts), strict=True):
            start, stop = max(span.start, first), min(span.stop, behind)
            if start < stop:
                yield rows.slice(start - first, stop - first)

    def row(self, record: int) -> tuple[RecordRows, int]:
        """The block in which the record lies, and where there."""
        at = bisect_right(self._firsts, record) - 1
        return self._rows[at], record - self._firsts[at]


class Chunker:
    """Puts blocks together, so that a chunk has at most so many bytes, or one block, and MAX_CHUNK_RECORDS records."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._held: list[RecordBlock] = []
        self._held_bytes = self._held_records = 0

    def add(self, block: RecordBlock) -> Iterator[Chunk]:
        """The chunks that are complete before or by this block."""
        for piece in _pieces(block):
            if (
                self._held_bytes + len(piece.data) > self._size_bytes
                or self._held_records + piece.count > MAX_CHUNK_RECORDS
            ):
                yield from self.rest()
            self._held.append(piece)
            self._held_bytes += len(piece.data)
            self._held_records += piece.count

    def rest(self) -> Iterator[Chunk]:
        """What is held, if anything is."""
        held, self._held = self._held, []
        self._held_bytes = self._held_records = 0
        if held:
            yield Chunk(held)


def _pieces(block: RecordBlock) -> Iterator[RecordBlock]:
    if 0 < block.count <= MAX_CHUNK_RECORDS:
        yield block
        return
    rows = RecordRows(block)
    for start in range(0, block.count, MAX_CHUNK_RECORDS):
        yield rows.slice(start, min(start + MAX_CHUNK_RECORDS, block.count))
