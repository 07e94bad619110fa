r"""Text lines: an extent owns the lines that start inside it, so every line of an object is read exactly once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from apollo_worker.core.columns import RecordBlock
from apollo_worker.input.cutter import Extent, InputLimits, too_large

_NEWLINE = 10


class LineCutter:
    r"""Cuts at `\n`; `\r\n` becomes `\n`, a lone `\r` is data, a last line without an end gets one.

    An extent that does not start at 0 is read from one byte before its start: the line after the first `\n` from
    there is the first that it owns. Its last line is the one that ends at or behind its last byte.
    """

    takes_long = False

    def __init__(self, extent: Extent, limits: InputLimits) -> None:
        self.first_byte = max(0, extent.start - 1)
        self.done = False
        self.owned_bytes = 0
        self._url = extent.url
        self._end = extent.end
        self._limits = limits
        self._skipping = extent.start > 0
        self._position = self.first_byte  # of the next byte to come
        self._offset = 0  # of the first byte of `_lines`
        self._lines: list[bytes | memoryview] = []  # whole lines, not handed out yet
        self._lines_bytes = 0
        self._tail: list[bytes | memoryview] = []  # a line whose end has not come yet
        self._tail_bytes = 0

    def feed(self, chunk: bytes) -> Iterator[RecordBlock]:
        start = self._skip(chunk) if self._skipping else 0
        stop = len(chunk) if self._skipping or self.done else self._owned_stop(chunk, start)
        self._position += stop
        if self._skipping or start == stop:
            return
        line_end = chunk.rfind(b"\n", start, stop) + 1
        if line_end:
            self._lines += [*self._tail, memoryview(chunk)[start:line_end]]
            self._lines_bytes += self._tail_bytes + line_end - start
            self._tail, self._tail_bytes = [], 0
            start = line_end
            if self.done or self._lines_bytes >= self._limits.block_bytes:
                yield self._block()
        if start < stop:
            self._tail.append(memoryview(chunk)[start:stop])
            self._tail_bytes += stop - start
            if self._tail_bytes > self._limits.max_record_bytes:
                raise too_large(self._url, self._position - self._tail_bytes, self._limits.max_record_bytes)

    def finish(self) -> Iterator[RecordBlock]:
        self.done = True
        self._lines += self._tail
        self._lines_bytes += self._tail_bytes
        if self._lines:
            yield self._block()

    def _skip(self, chunk: bytes) -> int:
        """Where in the chunk the first line begins that starts inside the extent."""
        start = chunk.find(b"\n") + 1
        self._skipping = not start
        start = start or len(chunk)
        self._offset = self._position + start
        self.done = self._end is not None and self._offset >= self._end
        return len(chunk) if self.done else start

    def _owned_stop(self, chunk: bytes, start: int) -> int:
        """Where in the chunk the last line ends that the extent owns; the chunk's end when it does not end here."""
        if self._end is None or self._position + len(chunk) < self._end:
            return len(chunk)
        stop = chunk.find(b"\n", max(start, self._end - 1 - self._position)) + 1
        self.done = stop > 0
        return stop or len(chunk)

    def _block(self) -> RecordBlock:
        data = b"".join(self._lines)
        offset = self._offset
        self._check_sizes(data)
        self._lines, self._lines_bytes = [], 0
        self._offset += len(data)
        self.owned_bytes += len(data)
        # A search for one byte is 30 times faster than one for two, and most texts hold no \r at all.
        exact_offsets = b"\r" not in data or b"\r\n" not in data
        offsets: NDArray[np.int64] | None = None
        if not exact_offsets:
            newlines = np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE)
            offsets = offset + np.concatenate(([0], newlines[newlines < len(data) - 1] + 1))
            data = data.replace(b"\r\n", b"\n")
        if not data.endswith(b"\n"):
            data += b"\n"
        count = int(np.count_nonzero(np.frombuffer(data, np.uint8) == _NEWLINE))
        return RecordBlock(self._url, data, count, offset, exact_offsets=exact_offsets, offsets=offsets)

    def _check_sizes(self, data: bytes) -> None:
        """RecordTooLarge for a line over the limit, which only a block over the limit can hold."""
        if len(data) <= self._limits.max_record_bytes:
            return
        ends = np.append(np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE), len(data))
        starts = np.concatenate([[0], ends[:-1] + 1])
        over = np.flatnonzero(ends - starts > self._limits.max_record_bytes)
        if len(over):
            raise too_large(self._url, self._offset + int(starts[over[0]]), self._limits.max_record_bytes)
