"""Records that are cut by size: fixed-length records, and whole objects."""

from collections.abc import Iterator

import numpy as np

from apollo_common.errors import InputCorrupt
from apollo_worker.core.columns import RecordBlock
from apollo_worker.input.cutter import Extent, InputLimits, too_large


class FixedCutter:
    """Records of `record_bytes` each. An extent owns the records that start inside it."""

    takes_long = False

    def __init__(self, extent: Extent, limits: InputLimits, record_bytes: int) -> None:
        if record_bytes > limits.max_record_bytes:
            raise too_large(extent.url, extent.start, limits.max_record_bytes)
        self.first_byte = -(-extent.start // record_bytes) * record_bytes
        self.owned_bytes = 0
        self._url = extent.url
        self._record_bytes = record_bytes
        self._block_bytes = max(1, limits.block_bytes // record_bytes) * record_bytes
        self._left_bytes = None if extent.end is None else -(-extent.end // record_bytes) * record_bytes
        if self._left_bytes is not None:
            self._left_bytes -= self.first_byte
        self.done = self._left_bytes == 0
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> Iterator[RecordBlock]:
        if self._left_bytes is not None:
            chunk = chunk[: self._left_bytes]
            self._left_bytes -= len(chunk)
            self.done = not self._left_bytes
        self._pending += chunk
        whole_bytes = len(self._pending) - len(self._pending) % self._record_bytes
        if whole_bytes >= self._block_bytes or (self.done and whole_bytes):
            yield self._block(whole_bytes)

    def finish(self) -> Iterator[RecordBlock]:
        self.done = True
        left_bytes = len(self._pending) % self._record_bytes
        if left_bytes:
            raise InputCorrupt(
                f"{self._url} ends with {left_bytes} bytes that are no whole record of {self._record_bytes}: "
                "check the record length"
            )
        if self._pending:
            yield self._block(len(self._pending))

    def _block(self, size_bytes: int) -> RecordBlock:
        data = bytes(memoryview(self._pending)[:size_bytes])
        del self._pending[:size_bytes]
        offset = self.first_byte + self.owned_bytes
        self.owned_bytes += size_bytes
        count = size_bytes // self._record_bytes
        return RecordBlock(self._url, data, count, offset, np.full(count, self._record_bytes, np.uint32))


class WholeCutter:
    """One record: the object."""

    first_byte = 0

    takes_long = False

    def __init__(self, extent: Extent, limits: InputLimits) -> None:
        self.done = False
        self.owned_bytes = 0
        self._url = extent.url
        self._max_record_bytes = limits.max_record_bytes
        self._content = bytearray()  # it grows in place: joining chunks would take its memory twice

    def feed(self, chunk: bytes) -> Iterator[RecordBlock]:
        self._content += chunk
        self.owned_bytes += len(chunk)
        if self.owned_bytes > self._max_record_bytes:
            raise too_large(self._url, 0, self._max_record_bytes)
        return iter(())

    def finish(self) -> Iterator[RecordBlock]:
        self.done = True
        content, self._content = memoryview(self._content), bytearray()
        yield RecordBlock(self._url, content, 1, 0, np.array([len(content)], np.uint32))
