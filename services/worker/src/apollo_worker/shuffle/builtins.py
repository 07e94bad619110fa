"""Built-in reducers and combiners: what `builtin:NAME` means in each role.

| name | as reducer | as combiner |
| --- | --- | --- |
| identity | every pair, unchanged | the same |
| sum, min, max | a key with the sum, least or greatest of its values, decimal integers of any size | the same |
| count | a key with the number of its values | not possible: counting partial counts is wrong |
| unique | a key with each of its distinct values once, in byte order | the same, without promise that all repeats go |
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Literal, Protocol

from apollo_common.errors import UnknownBuiltin
from apollo_worker.core.columns import PairBatch
from apollo_worker.ports import PairSink, ProgramResult
from apollo_worker.shuffle.aggregate import CountFold, MaxFold, MinFold, SumFold
from apollo_worker.shuffle.threads import iterate_in_thread
from apollo_worker.shuffle.unique import UniqueFold, UniqueInBatches

Role = Literal["combine", "reduce"]
DEFAULT_BUDGET_BYTES = 64 << 20


class Fold(Protocol):
    """Works through sorted pairs, batch by batch; blocking. One fold serves one run."""

    def push(self, batch: PairBatch) -> Iterator[PairBatch]:
        """What is settled once `batch` (not empty) is known; keeps what a later batch may still change."""
        ...

    def end(self) -> Iterator[PairBatch]: ...


class Builtin:
    """A reducer (`ports.Reducer`) and a combiner (`combine.Combiner`) in one."""

    def __init__(self, new_fold: Callable[[], Fold]) -> None:
        self._new_fold = new_fold

    async def reduce(self, pairs: AsyncIterator[PairBatch], sink: PairSink) -> ProgramResult:
        result = ProgramResult()
        async with aclosing(self.combine(_counted(pairs, result))) as batches:
            async for batch in batches:
                result.output_records += len(batch)
                await sink.pairs(batch)
        return result

    async def combine(self, pairs: AsyncIterator[PairBatch]) -> AsyncGenerator[PairBatch, None]:
        fold = self._new_fold()
        async for batch in pairs:
            if len(batch):
                async with aclosing(iterate_in_thread(fold.push(batch))) as settled:
                    async for result in settled:
                        yield result
        async with aclosing(iterate_in_thread(fold.end())) as settled:
            async for result in settled:
                yield result


def builtin(name: str, role: Role, *, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> Builtin:
    """The built-in of that name, with or without `builtin:` before it. Raises UnknownBuiltin.

    `budget_bytes` bounds what `unique` holds of one key's distinct values.
    """
    folds: dict[str, Callable[[], Fold]] = {
        "identity": _Identity,
        "sum": SumFold,
        "count": CountFold,
        "min": MinFold,
        "max": MaxFold,
        "unique": UniqueInBatches if role == "combine" else lambda: UniqueFold(budget_bytes),
    }
    plain = name.removeprefix("builtin:")
    if plain not in folds:
        raise UnknownBuiltin(f"there is no built-in program {name!r}; there are builtin:{', builtin:'.join(folds)}")
    if plain == "count" and role == "combine":
        raise UnknownBuiltin(
            "builtin:count cannot be a combiner, because the reducer would count partial counts; "
            "emit 1 for each and use builtin:sum as combiner and reducer"
        )
    return Builtin(folds[plain])


class _Identity:
    def push(self, batch: PairBatch) -> Iterator[PairBatch]:
        yield batch

    def end(self) -> Iterator[PairBatch]:
        return iter(())


async def _counted(pairs: AsyncIterator[PairBatch], result: ProgramResult) -> AsyncIterator[PairBatch]:
    async for batch in pairs:
        result.input_records += len(batch)
        yield batch
