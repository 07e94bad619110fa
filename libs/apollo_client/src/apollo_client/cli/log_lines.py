"""Lines that programs wrote to standard error, of many attempts at a time, each told as soon as it is whole."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import Self

from apollo_client.errors import RequestRefused
from apollo_client.rest import RestClient
from apollo_common.errors import ApolloError

MAX_READ_AT_ONCE = 64
MAX_LINE_BYTES = 64 << 10  # a longer one is told in pieces


class LogLines:
    """Tells (attempt, line). An async context manager: it waits for the logs that are being read.

    After an error in its block or in one of them, or when it is cancelled, it gives them up. With `excuse`, a log that
    cannot be read or told is no error: it is given the attempt and why, and the others go on.
    """

    def __init__(
        self,
        client: RestClient,
        tell: Callable[[str, str], None],
        excuse: Callable[[str, ApolloError | OSError], None] | None = None,
    ) -> None:
        self._client = client
        self._tell = tell
        self._excuse = excuse
        self._slots = asyncio.Semaphore(MAX_READ_AT_ONCE)
        self._reads: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None
        self._failed = asyncio.Event()

    async def begin(self, attempt: str) -> None:
        """Read a log until the attempt has ended. Waits while so many are being read already.

        What goes wrong is raised by the next `begin` or `pause`, or at the end of the block.
        """
        await self._slots.acquire()
        self._check()
        read = asyncio.create_task(self._follow(attempt), name=f"log of {attempt}")
        self._reads.add(read)
        read.add_done_callback(self._ended)

    async def pause(self, seconds: float) -> None:
        """Let the logs be read for so long; what goes wrong with one of them is raised at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._failed.wait()
        self._check()

    async def read(self, attempt: str, *, follow: bool) -> None:
        rest = b""
        try:
            async for chunk in self._client.log(attempt, follow=follow):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._tell(attempt, line.decode(errors="replace"))
                if len(rest) > MAX_LINE_BYTES:
                    self._tell(attempt, rest.decode(errors="replace"))
                    rest = b""
        except RequestRefused as error:
            if error.status != HTTPStatus.NOT_FOUND:  # an attempt that has written nothing may have no log
                raise
        if rest:
            self._tell(attempt, rest.decode(errors="replace"))

    async def _follow(self, attempt: str) -> None:
        try:
            await self.read(attempt, follow=True)
        except (ApolloError, OSError) as error:
            if self._excuse is None:
                raise
            self._excuse(attempt, error)

    def _ended(self, read: "asyncio.Task[None]") -> None:
        self._reads.discard(read)
        self._slots.release()
        if not read.cancelled() and (error := read.exception()) is not None and self._error is None:
            self._error = error
            self._failed.set()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None and self._error is None:
                await _wait(self._reads, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for read in self._reads:
                read.cancel()
            await _wait(self._reads)
        if error is None:
            self._check()


async def _wait(tasks: "set[asyncio.Task[None]]", *, return_when: str = asyncio.ALL_COMPLETED) -> None:
    if tasks:
        await asyncio.wait(set(tasks), return_when=return_when)
