"""A record on which the program of a failed map attempt fails by itself: what its user wants to see first.

A search as of a skipping attempt, but it ends with the first record, skips nothing, and is bounded in bytes and time.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Final

from apollo_common.errors import RecordsFailOtherwise
from apollo_common.logging import get_logger
from apollo_proto.apollo import v1
from apollo_worker.bad_records import BadRecordSearch
from apollo_worker.core.columns import RecordBlock
from apollo_worker.ports import Mapper

MAX_SEARCHED_BYTES: Final = 64 << 20
MAX_SEARCH_SECONDS: Final = 60.0
PREVIEW_BYTES: Final = 1 << 10

_log = get_logger(__name__)


async def first_bad_record(
    mapper: Mapper,
    blocks: AsyncGenerator[RecordBlock, None],
    failed: v1.Failed,
    tell: Callable[[str], None],
    budget_bytes: int,
) -> v1.RecordPlace | None:
    """The first record of a split on which `mapper` fails, if it does so as the attempt has; None if none is found
    within the bounds. `tell` hears how it goes.

    Whatever goes wrong here says less than the failure that is looked into, and is not raised.
    """
    found: list[v1.BadRecord] = []
    search = BadRecordSearch(mapper, _Uncounted(tell), budget_bytes, allowed=0, tell=found.append)
    try:
        async with asyncio.timeout(MAX_SEARCH_SECONDS), aclosing(blocks), aclosing(_bounded(blocks)) as some:
            await search.find(some)
    except RecordsFailOtherwise:
        return None
    except Exception as error:  # noqa: BLE001 - as above; TooManyBadRecords: one was found
        _log.debug("search for a bad record ended", error=str(error))
    if not found or _end(found[0]) != _end(failed):
        return None
    first = found[0]
    return v1.RecordPlace(
        input_url=first.input_url,
        offset=first.offset,
        size_bytes=len(first.content),
        preview=first.content[:PREVIEW_BYTES],
    )


def _end(failure: v1.Failed | v1.BadRecord) -> tuple[str, int, int]:
    """How the program ended: on a record alone it may fail for another reason, as `grep` does where nothing matches."""
    return failure.reason, failure.exit_status, failure.signal


class _Uncounted:
    """A SearchReporter: no record is skipped."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.status = tell

    def add(self, name: str, increment: int) -> None: ...


async def _bounded(blocks: AsyncIterator[RecordBlock]) -> AsyncGenerator[RecordBlock, None]:
    read_bytes = 0
    async for block in blocks:
        yield block
        read_bytes += len(block.data)
        if read_bytes >= MAX_SEARCHED_BYTES:
            return
