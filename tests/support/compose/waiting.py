"""Waits for what comes about by itself."""

import asyncio
from collections.abc import Awaitable, Callable

from support.rest_jobs import POLL_SECONDS

PATIENCE_SECONDS = 120.0


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once it holds; TimeoutError when it does not in good time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(POLL_SECONDS)
