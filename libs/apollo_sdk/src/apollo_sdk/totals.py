"""Sums per key in memory before anything is emitted: a combiner inside the mapper."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from apollo_sdk.emitter import Emit

KEYS_LIMIT = 1 << 18  # some 50 MB of Python objects; then the sums so far are emitted

Input = TypeVar("Input")
Key = bytes | str


class Totals(Counter[Key]):
    """What a mapper under `sum_in_memory` gets as its second argument."""

    def __call__(self, key: Key, increment: int = 1) -> None:
        self[key] += increment

    def count(self, keys: Iterable[Key]) -> None:
        """Add 1 for each key, at C speed."""
        self.update(keys)


class sum_in_memory(Generic[Input]):  # noqa: N801  # used as a decorator
    """Decorates a function for `map` or `map_block`: what it adds under a key is summed, and emitted once in a while.

        @sum_in_memory
        def count_words(block, totals):
            totals.count(block.data.split())

    `totals(key, increment)` adds for one key.
    """

    def __init__(self, mapper: Callable[[Input, Totals], None]) -> None:
        self._mapper = mapper
        self._totals = Totals()

    def __call__(self, record: Input, emit: Emit) -> None:
        self._mapper(record, self._totals)
        if len(self._totals) >= KEYS_LIMIT:
            self.finish(emit)

    def finish(self, emit: Emit) -> None:
        """Emit the sums; `run` calls it after the last record."""
        for key, total in self._totals.items():
            emit(key, total)
        self._totals.clear()
