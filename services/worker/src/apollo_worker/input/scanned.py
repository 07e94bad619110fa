"""Cuts the extents of an object by a scanner, so that every record is read exactly once, wherever the extents end."""

from collections.abc import Iterator

import numpy as np

from apollo_common.errors import RecordTooLarge
from apollo_worker.core.columns import RecordBlock
from apollo_worker.input.cutter import Extent, InputLimits, too_large
from apollo_worker.input.scanner import BOM, Beginning, Cut, Positions, Scanner

_TAIL_SHARE = 4  # a record that goes on is scanned again when it has grown by a quarter: not once per chunk


class ScannedCutter:
    """See RecordCutter. An extent owns the records that start inside it, or `owned_shift` bytes later."""

    takes_long = True

    def __init__(self, extent: Extent, limits: InputLimits, scanner: Scanner, beginning: Beginning) -> None:
        self.first_byte = beginning.offset
        self.done = False
        self.owned_bytes = 0
        self._url = extent.url
        self._scanner = scanner
        self._block_bytes = limits.block_bytes
        self._max_record_bytes = min(limits.max_record_bytes, scanner.max_record_bytes or limits.max_record_bytes)
        self._owned_start = extent.start and extent.start + scanner.owned_shift
        self._owned_end = None if extent.end is None else extent.end + scanner.owned_shift
        self._at_record = beginning.at_record
        self._offset = beginning.offset  # of the first byte held
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._scanned_bytes = 0  # of those held, the beginning of one record

    def feed(self, chunk: bytes) -> Iterator[RecordBlock]:
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        at_end = self._owned_end is not None and self._offset + self._held_bytes >= self._owned_end
        more_bytes = max(self._scanned_bytes // _TAIL_SHARE, 1 if at_end else self._block_bytes)
        if self._held_bytes >= self._scanned_bytes + more_bytes:
            yield from self._cut(final=False)

    def finish(self) -> Iterator[RecordBlock]:
        yield from self._cut(final=True)
        self.done = True

    def _cut(self, *, final: bool) -> Iterator[RecordBlock]:
        data = b"".join(self._held)
        mark_bytes = len(BOM) if self._offset == 0 and self._scanner.drops_bom and data.startswith(BOM) else 0
        scanned = data[mark_bytes:] if mark_bytes else data
        found = self._scanner.scan(scanned, at_record=self._at_record, final=final)
        ends = found.ends + mark_bytes
        begins: Positions = np.concatenate(([0], found.nexts + mark_bytes))  # the last one's record is not whole yet
        rest = int(begins[-1])
        unended = final and max(rest, mark_bytes) < len(data)
        if unended:
            ends = np.append(ends, len(data))
            rest = len(data)
        first, stop = self._owned(begins, len(ends))
        if first < stop:
            last_unended = unended and stop == len(ends)
            block = self._block(data, begins, ends, mark_bytes, slice(first, stop), unended=last_unended)
            if block.count:
                yield block
        self.done = self._owned_end is not None and self._offset + rest >= self._owned_end
        self._keep(data, rest)

    def _owned(self, begins: Positions, count: int) -> tuple[int, int]:
        """Which of `count` whole records are the extent's: from, to."""
        first = int(np.searchsorted(begins, self._owned_start - self._offset))
        stop = count
        if self._owned_end is not None:
            stop = min(count, int(np.searchsorted(begins, self._owned_end - self._offset)))
        return max(first, 0 if self._at_record else 1), stop

    def _block(
        self, data: bytes, begins: Positions, ends: Positions, mark_bytes: int, owned: slice, *, unended: bool
    ) -> RecordBlock:
        start = int(begins[owned.start])
        end = int(begins[owned.stop]) if owned.stop < len(begins) else len(data)
        content_start = mark_bytes if owned.start == 0 else start
        starts = np.maximum(begins[owned], content_start) - content_start
        offsets = begins[owned] + self._offset
        cut = Cut(self._url, offsets, data[content_start:end], starts, ends[owned] - content_start, unended)
        over = np.flatnonzero(cut.ends - starts > self._max_record_bytes)
        if len(over):
            raise self._too_large(int(offsets[over[0]]))
        self.owned_bytes += end - start
        return self._scanner.block(cut)

    def _keep(self, data: bytes, start: int) -> None:
        """What is left of the data: a record whose end has not come yet."""
        rest = b"" if self.done else data[start:]
        if len(rest) > self._max_record_bytes + self._scanner.parting_bytes:
            raise self._too_large(self._offset + start)
        self._held, self._held_bytes, self._scanned_bytes = [rest], len(rest), len(rest)
        self._offset += start
        self._at_record |= start > 0

    def _too_large(self, offset: int) -> RecordTooLarge:
        if self._max_record_bytes != self._scanner.max_record_bytes:
            return too_large(self._url, offset, self._max_record_bytes)
        return RecordTooLarge(
            f"{self._url}: the record at byte {offset} is too large: the limit is {self._max_record_bytes} bytes, the "
            "most that a record of this format may have; look for a quote that is never closed"
        )
