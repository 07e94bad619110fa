"""Keys in another order than that of their bytes, for a shuffle that knows no other.

Each key gets a prefix whose bytes compare as the job's `keyOrder` wants, followed by the key itself, which decides
between keys that the order holds for equal. So sorting, merging and looking up work on bytes alone. The prefix has a
segment for each part (`key_segments`), each with one end byte that occurs nowhere else in it: 00, or FF where the
part's order is turned round. That is how the key is found again.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from apollo_common.errors import RecordTooLarge
from apollo_common.key_parts import KeyPart
from apollo_common.threads import in_thread
from apollo_common.timings import Step
from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import Bytes, PairBatch
from apollo_worker.core.fields import Positions
from apollo_worker.core.line_fields import TAB_SEPARATED
from apollo_worker.core.slices import bounded_slices
from apollo_worker.shuffle.combine import Combiner
from apollo_worker.shuffle.key_parts import find_parts
from apollo_worker.shuffle.key_segments import END, Columns, inverted, joined, number_segments, text_segments
from apollo_worker.shuffle.keys import KeyBlock, Words
from apollo_worker.shuffle.partition import Partitioner
from apollo_worker.steps import doing

_MOST_TIMES_LONGER = 2  # than the part itself is a segment
_MAX_COLUMN_BYTES = (1 << 31) - (1 << 26)  # offsets are 32-bit; the rest is for ends of segments


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """The order of the parts, one after the other; at least one part. Blocking."""

    parts: tuple[KeyPart, ...]
    separator: bytes = TAB_SEPARATED.separator

    def add_prefixes(self, batch: PairBatch) -> PairBatch:
        """Keys become prefixed keys; values stay where they are. RecordTooLarge where offsets could not tell them."""
        if not len(batch):
            return batch
        key_bytes = int(batch.key_offsets[-1]) - int(batch.key_offsets[0])
        if key_bytes * (_MOST_TIMES_LONGER * len(self.parts) + 1) > _MAX_COLUMN_BYTES:
            raise RecordTooLarge(
                f"keys of {key_bytes} bytes are too large for a keyOrder of {len(self.parts)} parts: "
                "name fewer parts, or emit smaller keys"
            )
        starts, ends = batch.key_offsets[:-1], batch.key_offsets[1:]
        columns: Columns = ()
        for part in self.parts:
            found = find_parts(batch.key_bytes, starts, ends, self.separator, part)
            segments = (number_segments if part.numeric else text_segments)(batch.key_bytes, found)
            columns += inverted(segments) if part.reverse else segments
        prefixed = joined((*columns, binary_array(batch.key_offsets, batch.key_bytes)))
        return PairBatch(*binary_columns(prefixed), batch.value_offsets, batch.value_bytes)

    def drop_prefixes(self, batch: PairBatch) -> PairBatch:
        """What `add_prefixes` was given."""
        if not len(batch):
            return batch
        offsets = batch.key_offsets
        # Two segments a key, prefix and key itself: taking every second one gathers the keys.
        bounds = np.empty(2 * len(batch) + 1, np.int32)
        bounds[::2] = offsets
        bounds[1::2] = self.key_starts(batch.key_bytes, offsets[:-1], int(offsets[-1]))
        keys = binary_array(bounds, batch.key_bytes).take(pa.array(np.arange(1, 2 * len(batch), 2, dtype=np.int32)))
        return PairBatch(*binary_columns(keys), batch.value_offsets, batch.value_bytes)

    def key_starts(self, content: Bytes, starts: Positions, stop: int) -> Positions:
        """Where the key itself begins in each of the prefixed keys, which begin at `starts` and rise up to `stop`."""
        first = int(starts[0])
        ends = {end: np.flatnonzero(content[first:stop] == end) + first for end in {self._end(p) for p in self.parts}}
        for part in self.parts:
            positions = ends[self._end(part)]
            starts = positions[np.searchsorted(positions, starts)] + 1
        return starts

    @staticmethod
    def _end(part: KeyPart) -> int:
        return END ^ 0xFF if part.reverse else END


@dataclass(frozen=True, slots=True)
class PartitionerOfPrefixed:
    """A partitioner of the keys inside prefixed ones."""

    partitioner: Partitioner
    order: KeyOrder

    def partition(self, keys: KeyBlock, partitions: int) -> Words:
        ends = keys.starts + keys.lengths
        starts = self.order.key_starts(keys.content, keys.starts, int(ends[-1]))
        return self.partitioner.partition(KeyBlock(keys.content, keys.words, starts, ends - starts), partitions)


@dataclass(frozen=True, slots=True)
class CombinerOfPrefixed:
    """A combiner that sees and emits keys, of pairs with prefixed ones."""

    combiner: Combiner
    order: KeyOrder

    async def combine(self, pairs: AsyncIterator[PairBatch]) -> AsyncGenerator[PairBatch, None]:
        plain = without_prefixes(pairs, self.order, Step.SORT)
        async with aclosing(plain), aclosing(self.combiner.combine(plain)) as results:
            async for batch in results:
                for piece in bounded_slices(batch):
                    yield await with_prefixes(piece, self.order)


async def with_prefixes(batch: PairBatch, order: KeyOrder) -> PairBatch:
    """Of a map attempt: the prefixes are what its output is sorted by."""
    with doing(Step.SORT):
        return await in_thread(order.add_prefixes, batch)


async def without_prefixes(
    pairs: AsyncIterator[PairBatch], order: KeyOrder, step: Step
) -> AsyncGenerator[PairBatch, None]:
    """Who passes in `pairs` closes them. `step`: what the time that it takes belongs to."""
    async for batch in pairs:
        with doing(step):
            plain = await in_thread(order.drop_prefixes, batch)
        del batch  # it may be one large pair: only one of the two is kept while the next is awaited
        yield plain
        del plain
