"""Waits for what comes about by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from support.rest_jobs import POLL_SECONDS

PATIENCE_SECONDS = 120.0

T = TypeVar("T")


async def eventually(seen: Callable[[], Awaitable[T]], expected: T) -> None:
    """Return once what is seen is as expected; an AssertionError with it when it does not come to that."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (now := await seen()) != expected:
        assert time.monotonic() < deadline, f"{now} is not {expected}"
        await asyncio.sleep(POLL_SECONDS)
