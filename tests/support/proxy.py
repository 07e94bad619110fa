"""A TCP proxy that cuts connections: in the middle of an answer, or all at once when it is told to."""

import asyncio
from contextlib import suppress
from typing import Self


class CuttingProxy:
    """Passes bytes on to `target` (host:port); aborts the first `cuts` connections after so many bytes of answer."""

    def __init__(self, target: str, *, cut_after_bytes: int = 0, cuts: int = 0) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._cut_after_bytes = cut_after_bytes
        self.cuts_left = cuts

    @property
    def address(self) -> str:
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def __aenter__(self) -> Self:
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for end in list(self._ends):
            end.transport.abort()
        await asyncio.gather(*self._tasks)

    def cut(self) -> int:
        """Abort every connection there is now; how many there were."""
        ends = list(self._ends)
        for end in ends:
            end.transport.abort()
        return len(ends) // 2

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:  # as if nobody listened here either
            writer.transport.abort()
            self._tasks.discard(task)
            return
        ends = {writer, far_writer}
        self._ends |= ends
        forward = asyncio.create_task(self._pass_on(reader, far_writer))
        await self._answer(far_reader, writer)
        for end in ends:
            end.transport.abort()
        await forward
        self._ends -= ends
        self._tasks.discard(task)

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        passed = 0
        with suppress(OSError):
            while content := await source.read(4096):
                passed += len(content)
                if self.cuts_left and passed > self._cut_after_bytes:
                    self.cuts_left -= 1
                    return
                sink.write(content)
                await sink.drain()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while content := await source.read(4096):
                sink.write(content)
                await sink.drain()
