"""Which group of a reduce has the most pairs: what a skewed job is told about."""

import numpy as np
from numpy.typing import NDArray

from apollo_worker.core.columns import PairBatch
from apollo_worker.shuffle.group import key_at

SHOWN_KEY_BYTES = 64


class LargestGroup:
    """Of all batches that were added, in order. Of several that are as large, the first."""

    def __init__(self) -> None:
        self.key = b""  # the first one of the group, cut
        self.records = 0
        self.of_records = 0  # how many there are in all
        self._last_key = b""
        self._last_records = 0

    def add(self, batch: PairBatch, starts: NDArray[np.int64], *, continues: bool) -> None:
        """`starts`: the rows at which groups begin, row 0 first. `continues`: it goes on from the batch before."""
        sizes = np.diff(starts, append=len(batch))
        self.of_records += len(batch)
        if continues:
            sizes[0] += self._last_records
        largest = int(np.argmax(sizes))
        if sizes[largest] > self.records:
            self.records = int(sizes[largest])
            self.key = self._key(batch, starts, largest, continues=continues)
        last = len(sizes) - 1
        self._last_key, self._last_records = self._key(batch, starts, last, continues=continues), int(sizes[last])

    def _key(self, batch: PairBatch, starts: NDArray[np.int64], group: int, *, continues: bool) -> bytes:
        return self._last_key if continues and group == 0 else key_at(batch, int(starts[group]))[:SHOWN_KEY_BYTES]
