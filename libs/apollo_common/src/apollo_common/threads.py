"""Blocking work off the event loop."""

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from apollo_common.lifecycle import to_the_end

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """`asyncio.to_thread`, except that a cancelled caller leaves only after the thread has.

    A thread cannot be stopped; without the wait, the caller would close files and free buffers under it.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await abandoned(running)
        raise


async def abandoned(running: "asyncio.Future[Any]") -> None:
    """Wait for a thread whose result nobody wants any more, whatever cancellations arrive meanwhile."""
    await to_the_end(_settled(running))


async def _settled(running: "asyncio.Future[Any]") -> None:
    await asyncio.wait([running])
    if not running.cancelled():
        running.exception()  # an error must not count as unseen
