"""Combiners: shrink a sorted spill before it is written."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol

from apollo_common.errors import PermanentError
from apollo_worker.core.columns import PairBatch
from apollo_worker.ports import Reducer


class Combiner(Protocol):
    def combine(self, pairs: AsyncIterator[PairBatch]) -> AsyncGenerator[PairBatch, None]:
        """Combine one spill.

        `pairs` come sorted by key within each partition, partition after partition; equal keys are adjacent. The
        result may be in any order; a batch of it is valid until the next one is asked for.
        """
        ...


class ProgramCombiner:
    """Uses a reducer as a combiner: runs it once per spill and takes what it emits."""

    def __init__(self, reducer: Reducer) -> None:
        self._reducer = reducer

    async def combine(self, pairs: AsyncIterator[PairBatch]) -> AsyncGenerator[PairBatch, None]:
        exchange = _Exchange()
        program = asyncio.create_task(self._run(pairs, exchange))
        try:
            while (batch := await exchange.receive()) is not None:
                yield batch
                exchange.release()
            await program
        finally:
            program.cancel()
            await asyncio.gather(program, return_exceptions=True)

    async def _run(self, pairs: AsyncIterator[PairBatch], exchange: "_Exchange") -> None:
        try:
            await self._reducer.reduce(pairs, exchange)
        finally:
            exchange.close()


class _Exchange:
    """A sink that hands one batch at a time to a consumer and waits until it has been used."""

    def __init__(self) -> None:
        self._offered: asyncio.Queue[PairBatch | None] = asyncio.Queue(maxsize=2)  # a batch and the end
        self._used = asyncio.Event()

    async def pairs(self, batch: PairBatch) -> None:
        self._used.clear()
        await self._offered.put(batch)
        await self._used.wait()

    async def raw(self, content: bytes | memoryview) -> None:
        raise PermanentError(
            f"the combiner wrote {len(content)} bytes of raw output; a combiner may only emit key/value pairs"
        )

    async def receive(self) -> PairBatch | None:
        return await self._offered.get()

    def release(self) -> None:
        self._used.set()

    def close(self) -> None:
        self._offered.put_nowait(None)
