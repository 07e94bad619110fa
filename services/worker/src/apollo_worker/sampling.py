"""A sample attempt: the mapper runs on the beginning of a split, and some of the keys that it emits are kept."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from apollo_common.errors import PermanentError
from apollo_common.key_samples import MAX_KEY_BYTES
from apollo_common.threads import in_thread
from apollo_common.timings import Step
from apollo_worker.core.columns import PairBatch, RecordBlock
from apollo_worker.core.slices import bounded_slices
from apollo_worker.shuffle.group import take_keys
from apollo_worker.shuffle.key_order import KeyOrder
from apollo_worker.steps import doing

MAX_KEYS = 2000
MAX_SAMPLE_BYTES = 256 << 10


class KeySampler:
    """A PairSink that keeps every so many of the keys, evenly spread, in bounded memory; as they are shuffled."""

    def __init__(self, order: KeyOrder | None, *, max_keys: int = MAX_KEYS, max_bytes: int = MAX_SAMPLE_BYTES) -> None:
        self._order = order
        self._max_keys = max_keys
        self._max_bytes = max_bytes
        self._step = 1  # one key is kept of so many
        self.kept: list[bytes] = []
        self.records = 0

    async def pairs(self, batch: PairBatch) -> None:
        for piece in bounded_slices(batch):
            with doing(Step.RECEIVE):
                await in_thread(self._take, piece)

    async def raw(self, content: bytes | memoryview) -> None:
        raise PermanentError(
            f"the mapper wrote {len(content)} bytes of raw output, but its output goes to reducers: emit pairs"
        )

    def _take(self, batch: PairBatch) -> None:
        while len(batch) > self._max_keys * self._step:
            self._thin_out()
        rows = np.arange(-self.records % self._step, len(batch), self._step)
        self.records += len(batch)
        # A small column: these are all the keys that a step of Python is spent on.
        offsets, content = take_keys(batch, rows)
        picked = PairBatch(offsets, content, np.zeros(len(offsets), np.int32), np.zeros(0, np.uint8))
        if self._order is not None:
            picked = self._order.add_prefixes(picked)
        self.kept += [key[:MAX_KEY_BYTES] for key, _ in picked.to_pairs()]
        while len(self.kept) > self._max_keys or sum(map(len, self.kept)) > self._max_bytes:
            self._thin_out()

    def _thin_out(self) -> None:
        self.kept = self.kept[::2]
        self._step *= 2


async def beginning(blocks: AsyncGenerator[RecordBlock, None], size_bytes: int) -> AsyncGenerator[RecordBlock, None]:
    """Whole blocks, until they have `size_bytes`."""
    async with aclosing(blocks):
        async for block in blocks:
            yield block
            size_bytes -= len(block.data)
            if size_bytes <= 0:
                return
