"""The `range` partitioner: partition N has the keys from splitter N - 1 on that are below splitter N.

The order of partitions is the order of keys, so nothing is computed for a key: rows are sorted by key alone and their
order is cut at the splitters.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from apollo_common.key_samples import MAX_KEY_BYTES
from apollo_worker.core.columns import Bytes, Offsets

RANGE = "range"


@dataclass(frozen=True, slots=True)
class KeyRanges:
    """Splitters in rising order, one fewer than partitions or less: the last partitions are empty then."""

    splitters: tuple[bytes, ...]

    def counts(self, order: NDArray[np.int32], offsets: Offsets, content: Bytes, partitions: int) -> NDArray[np.int64]:
        """How many of the rows, which are in the order of their keys, each partition has."""

        def key(row: int) -> bytes:
            start, stop = offsets[order[row]], offsets[order[row] + 1]
            return content[start : min(stop, start + MAX_KEY_BYTES + 1)].tobytes()  # what a splitter can tell

        bounds = [0]
        for splitter in self.splitters:
            bounds.append(bisect_left(range(len(order)), splitter, lo=bounds[-1], key=key))
        ends = np.full(partitions, len(order), np.int64)
        ends[: len(self.splitters)] = bounds[1:]
        return np.diff(ends, prepend=0)
