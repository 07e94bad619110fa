"""Runs blocking work in a thread that is never left behind."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], stop: Callable[[], None] | None = None) -> T:
    """Run `work` in a thread. When cancelled, call `stop` and wait until `work` has ended before that shows."""
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
    """Wait for a thread whose result nobody wants any more, whatever cancellations arrive meanwhile."""
    if running.done():
        return
    if stop is not None:
        stop()
    while not running.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([running])
    if not running.cancelled():
        running.exception()  # an error must not count as unseen
