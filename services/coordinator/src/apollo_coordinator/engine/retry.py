"""Trying again after a temporary error, with growing, jittered pauses."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from apollo_common.backoff import Backoff
from apollo_common.errors import TemporaryError
from apollo_common.logging import get_logger

_log = get_logger(__name__)
_Result = TypeVar("_Result")


async def retried(
    work: Callable[[], Awaitable[_Result]],
    backoff: Backoff,
    jitter: random.Random,
    *,
    what: str,
    delayed: Callable[[TemporaryError], None] = lambda _error: None,
) -> _Result:
    """The result of `work`. Raises its permanent errors at once, and its temporary one after the last try.

    `delayed` hears of each temporary error after which it is tried again.
    """
    failures = 0
    while True:
        try:
            return await work()
        except TemporaryError as error:
            failures += 1
            if failures == backoff.tries:
                raise
            _log.warning("trying again", what=what, failures=failures, reason=error.reason, error=str(error))
            delayed(error)
        await asyncio.sleep(backoff.pause_ms(failures, jitter) / 1000)
