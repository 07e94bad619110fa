"""Work that goes on for as long as its service does, whatever defect it meets."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from apollo_common.backoff import Backoff
from apollo_common.logging import get_logger

SOUND_SECONDS: Final = 60.0
"""Work that has gone on for so long has recovered: the next defect counts as the first."""

_log = get_logger(__name__)


async def begun_again(work: Callable[[], Awaitable[None]], *, what: str, backoff: Backoff) -> NoReturn:
    """Do `work`, and begin it again whenever it ends or an unforeseen error ends it, with pauses that grow.

    A defect costs an interruption that the log tells of, not the service. Only a cancellation ends it.
    """
    clock = asyncio.get_running_loop().time
    interruptions = 0
    while True:
        began = clock()
        try:
            await work()
        except Exception:  # noqa: BLE001 - see above
            _log.exception("a defect interrupts a service", what=what, interruptions=interruptions + 1)
        interruptions = 1 if clock() - began > SOUND_SECONDS else interruptions + 1
        await asyncio.sleep(backoff.pause_ms(interruptions) / 1000)
