"""What a text program reads: records and pairs as lines."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeAlias

import numpy as np

from apollo_common.threads import in_thread
from apollo_common.timings import Step
from apollo_worker.artifact.dialogue import Chunk
from apollo_worker.core.columns import PairBatch, RecordBlock
from apollo_worker.core.text import join_pairs, join_records
from apollo_worker.steps import doing

Chunks: TypeAlias = AsyncGenerator[Chunk, None]


async def record_lines(records: AsyncIterator[RecordBlock]) -> Chunks:
    async for block in records:
        if block.lengths is None:
            yield Chunk([block.data], block.count)
        else:
            with doing(Step.SEND):
                lines = await in_thread(join_records, np.frombuffer(block.data, np.uint8), block.lengths)
            yield Chunk([lines], block.count)


async def pair_lines(pairs: AsyncIterator[PairBatch], separator: bytes) -> Chunks:
    async for batch in pairs:
        with doing(Step.SEND):
            lines = await in_thread(join_pairs, batch, separator)
        yield Chunk([lines], len(batch))
        del lines  # they may be large, and the next batch is being awaited
