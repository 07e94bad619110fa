"""Reads the records that came with an order, in place of a split."""

from collections.abc import AsyncGenerator

import numpy as np

from apollo_common.inline_records import InlineRecord, decode_records
from apollo_worker.core.columns import RecordBlock


class InlineReader:
    """See RecordReader. A block for each record, so that the program gets its offset: there are few, all bad."""

    def __init__(self, packed: bytes) -> None:
        self.input_bytes = 0
        self._packed = packed

    @property
    def size_bytes(self) -> int:
        return sum(len(record.content) for record in decode_records(self._packed))

    async def blocks(self) -> AsyncGenerator[RecordBlock, None]:
        for record in decode_records(self._packed):
            self.input_bytes += len(record.content)
            yield _block(record)


def _block(record: InlineRecord) -> RecordBlock:
    if record.line:
        return RecordBlock(record.input, record.content + b"\n", 1, record.offset)
    lengths = np.array([len(record.content)], np.uint32)
    return RecordBlock(record.input, record.content, 1, record.offset, lengths)
