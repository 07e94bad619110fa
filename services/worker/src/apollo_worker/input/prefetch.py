"""Reading ahead by one."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

from apollo_common.lifecycle import cancel_and_wait, to_the_end

T = TypeVar("T")


async def prefetched(items: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The same items; the next one is fetched while the last is worked on. Closing it closes `items`."""
    coming = asyncio.create_task(_next(items))
    try:
        while (item := await coming) is not None:
            coming = asyncio.create_task(_next(items))
            yield item
    finally:
        await to_the_end(_ended(coming, items))


async def _ended(coming: "asyncio.Task[T | None]", items: AsyncGenerator[T, None]) -> None:
    await cancel_and_wait(coming)
    await items.aclose()


async def _next(items: AsyncGenerator[T, None]) -> T | None:
    return await anext(items, None)
