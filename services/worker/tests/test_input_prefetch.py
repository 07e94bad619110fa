import asyncio
from contextlib import aclosing

import pytest

from apollo_worker.input.prefetch import prefetched


class Source:
    """Numbers; says how many were made and whether it was closed."""

    def __init__(self, count, *, error=None, stall_at=None):
        self.made, self.closed = 0, False
        self.count, self.error, self.stall_at = count, error, stall_at

    async def items(self):
        try:
            for number in range(self.count):
                if number == self.stall_at:
                    await asyncio.Event().wait()
                self.made += 1
                yield number
            if self.error:
                raise self.error
        finally:
            self.closed = True


async def test_the_same_items_and_one_ahead():
    source = Source(5)
    seen = []
    async for item in prefetched(source.items()):
        await asyncio.sleep(0.01)
        seen.append(item)
        assert source.made <= item + 2
    assert seen == [0, 1, 2, 3, 4]
    assert source.closed


async def test_an_error_comes_after_the_items_before_it():
    source = Source(2, error=ValueError("broken"))
    items = prefetched(source.items())
    assert [await anext(items), await anext(items)] == [0, 1]
    with pytest.raises(ValueError, match="broken"):
        await anext(items)
    assert source.closed


async def test_leaving_early_closes_the_source_and_leaves_no_task():
    source = Source(10, stall_at=1)
    async with aclosing(prefetched(source.items())) as items:
        assert await anext(items) == 0
        await asyncio.sleep(0)
    assert source.closed
    assert len(asyncio.all_tasks()) == 1


async def test_cancelling_the_reader_closes_the_source():
    source = Source(10, stall_at=1)

    async def read():
        async with aclosing(prefetched(source.items())) as items:
            async for _ in items:
                pass

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert source.closed
    assert len(asyncio.all_tasks()) == 1
