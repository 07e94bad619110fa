"""Blocking work in threads that can be asked to stop, and iterators that are worked off in one."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TypeVar

from apollo_common.threads import abandoned

T = TypeVar("T")


async def in_stoppable_thread(work: Callable[[], T], stop: Callable[[], None]) -> T:
    """As `apollo_common.threads.in_thread`, but a cancelled caller calls `stop`, which makes `work` end soon."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await _abandon(running, stop)
        raise


async def iterate_in_thread(items: Iterator[T], stop: Callable[[], None] | None = None) -> AsyncGenerator[T, None]:
    """The items of a blocking iterator, made in a thread, one ahead of the consumer."""

    def step() -> T | None:
        return next(items, None)

    ahead = asyncio.ensure_future(asyncio.to_thread(step))
    try:
        while (item := await asyncio.shield(ahead)) is not None:
            ahead = asyncio.ensure_future(asyncio.to_thread(step))
            yield item
            del item  # it may be large, and the next one is being made
    finally:
        await _abandon(ahead, stop)


async def _abandon(running: "asyncio.Future[T]", stop: Callable[[], None] | None) -> None:
    if stop is not None and not running.done():
        stop()
    await abandoned(running)
