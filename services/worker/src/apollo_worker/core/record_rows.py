"""Records of a block one by one, and runs of them: where each begins, what it holds, blocks of a few."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from apollo_worker.core.columns import RecordBlock

_NEWLINE = 10


class RecordRows:
    """One block's records, numbered from 0."""

    def __init__(self, block: RecordBlock) -> None:
        self.block = block
        if block.lengths is None:
            ends = np.flatnonzero(np.frombuffer(block.data, np.uint8) == _NEWLINE) + 1
        else:
            ends = np.cumsum(block.lengths, dtype=np.int64)
        self._bounds: NDArray[np.int64] = np.concatenate(([0], ends))

    def content(self, row: int) -> bytes:
        """Of a line without its end."""
        end_bytes = 1 if self.block.lengths is None else 0
        return bytes(self.block.data[int(self._bounds[row]) : int(self._bounds[row + 1]) - end_bytes])

    def offset(self, row: int) -> int:
        """Where the record begins in the decoded object."""
        block = self.block
        return int(block.offsets[row]) if block.offsets is not None else block.first_offset + int(self._bounds[row])

    def slice(self, start: int, stop: int) -> RecordBlock:
        """Records `start` to `stop`, at least one. The bytes are shared."""
        block = self.block
        if start == 0 and stop == block.count:
            return block
        return RecordBlock(
            block.input_url,
            memoryview(block.data)[int(self._bounds[start]) : int(self._bounds[stop])],
            stop - start,
            self.offset(start),
            None if block.lengths is None else block.lengths[start:stop],
            block.exact_offsets,
            None if block.offsets is None else block.offsets[start:stop],
        )


def without(block: RecordBlock, rows: Sequence[int]) -> Iterator[RecordBlock]:
    """The block but for some of its records, given in order: blocks of what lies between them."""
    if not rows:
        yield block
        return
    records = RecordRows(block)
    for before, after in pairwise([-1, *rows, block.count]):
        if after - before > 1:
            yield records.slice(before + 1, after)
