"""The frames protocol over the attempt's Unix socket."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from pathlib import Path

import numpy as np

from apollo_common.errors import ProgramError, ProgramProtocolError
from apollo_common.threads import in_thread
from apollo_common.timings import Step
from apollo_worker.artifact.channel import Channel
from apollo_worker.artifact.descent import peer_descends
from apollo_worker.artifact.dialogue import Chunk
from apollo_worker.artifact.silence import Silence
from apollo_worker.core import frames
from apollo_worker.core.columns import Bytes, GroupBatch, PairBatch, RecordBlock
from apollo_worker.core.frames import FrameType, Header, Limits
from apollo_worker.ports import PairSink, ProgramObserver
from apollo_worker.steps import doing

KERNEL_BUFFER_BYTES = 1 << 20  # asked for; the kernel may give less
DECODE_INLINE_BYTES = 4 << 20  # larger frames are decoded off the loop
STATUS_LIMIT_CHARACTERS = 1000

Grouping = Callable[[AsyncIterator[PairBatch]], AsyncGenerator[GroupBatch, None]]


class FramesDialogue:
    """See Dialogue. Listens until the one connection has come."""

    stdout = None

    def __init__(
        self,
        socket_path: Path,
        settings: Mapping[str, str],
        limits: Limits,
        silence: Silence,
        *,
        group: Grouping,
        observer: ProgramObserver,
    ) -> None:
        self.stdin = os.open(os.devnull, os.O_RDONLY)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)  # noqa: FBT003  # the library's own signature
        self._listener.bind(str(socket_path))
        self._listener.listen(1)
        self._arrival: asyncio.Future[socket.socket | None] = asyncio.get_running_loop().create_future()
        self._settings = settings
        self._limits = limits
        self._silence = silence
        self._group = group
        self._observer = observer
        self._gone: socket.socket | None = None  # whose maker has ended: it may have been the program
        self._channel: Channel | None = None
        self._connected = asyncio.Event()
        self._at = 0
        self._buffer = np.empty(0, np.uint8)
        self._taken: int | None = None  # records, by the program's END
        self._problem: ProgramProtocolError | None = None
        self.output_records = 0

    async def encode_records(self, records: AsyncIterator[RecordBlock]) -> AsyncGenerator[Chunk, None]:
        current = None
        async for block in records:
            if block.input_url != current:
                current = block.input_url
                yield Chunk([frames.encode_input(current)], 0)
            yield Chunk(frames.encode_records(block), block.count)
            del block  # it may be one large record, and the next one is being read

    async def encode_pairs(self, pairs: AsyncIterator[PairBatch]) -> AsyncGenerator[Chunk, None]:
        async with aclosing(self._group(pairs)) as groups:
            async for batch in groups:
                yield Chunk(frames.encode_groups(batch), len(batch.value_offsets) - 1)
                del batch

    def program_started(self) -> None:
        """Nothing to close: the program opens its own end."""

    async def opened(self) -> None:
        await self._connected.wait()

    async def send(self, chunk: Chunk) -> None:
        await self._open_channel().send(chunk.buffers)

    async def end_input(self) -> None:
        await self._open_channel().send([frames.encode_end()])

    async def drain(self, sink: PairSink) -> None:
        if not await self._accept():
            return
        while (frame := await self._next_frame()) is not None:
            await self._handle(*frame, sink)

    def program_ended(self) -> None:
        self._try_accept()
        if not self._arrival.done():
            self._arrival.set_result(self._gone)
            self._gone = None

    @property
    def broken(self) -> bool:
        return self._problem is not None

    def has_read(self) -> bool:
        return bool(self._taken)

    def check(self) -> None:
        if self._problem is not None:
            raise self._problem

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        if self._gone is not None:
            self._gone.close()
        if self._channel is not None:
            self._channel.close()
        elif self._arrival.done() and (connection := self._arrival.result()) is not None:
            connection.close()
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    async def _accept(self) -> bool:
        asyncio.get_running_loop().add_reader(self._listener, self._try_accept)
        await asyncio.wait([self._arrival])
        connection = self._arrival.result()
        if connection is None:
            self._problem = ProgramProtocolError(
                "the program ended without connecting to APOLLO_SOCKET. If it reads standard input and writes lines, "
                "set the job's protocol to `text`"
            )
            return False
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        self._channel = Channel(connection.detach(), self._silence)
        with suppress(BrokenPipeError):  # it may have said all that it wanted and be gone
            await self._channel.send([frames.encode_hello(self._settings, self._limits)])
        self._connected.set()
        return True

    def _try_accept(self) -> None:
        """The first connection of the program is taken; nobody else is let in.

        The program may have come and gone before the loop noticed: who is gone is heard only if nobody else comes.
        """
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        ours = peer_descends(connection)
        if ours and not self._arrival.done():
            self._arrival.set_result(connection)
        elif ours is None and self._gone is None:
            self._gone = connection
        else:
            connection.close()

    def _open_channel(self) -> Channel:
        if self._channel is None:
            raise RuntimeError("the program has not connected")
        return self._channel

    async def _next_frame(self) -> tuple[Header, Bytes] | None:
        """The next frame; its body is valid until the next call. None at the end of the stream."""
        channel = self._open_channel()
        content = bytearray(frames.HEADER_BYTES)
        received = await channel.receive_exactly(memoryview(content))
        if received < len(content):
            if received or self._taken is None:
                self._problem = self._cut_off("an END frame")
            return None
        header = frames.decode_header(content, self._at)
        if self._taken is not None:
            raise ProgramProtocolError(
                f"at byte {self._at} of the program's stream: expected nothing after END, found {header.type.name}"
            )
        if header.body_bytes > self._limits.data_body_bytes:
            first = bytearray(4)
            await channel.receive_exactly(memoryview(first))
            raise frames.oversized(header, first, self._at, self._limits)
        if header.body_bytes > len(self._buffer):
            self._buffer = np.empty(header.body_bytes, np.uint8)
        body = self._buffer[: header.body_bytes]
        received = await channel.receive_exactly(body.data)
        if received < header.body_bytes:
            self._problem = self._cut_off(f"{header.body_bytes} bytes of {header.type.name}, found {received}")
            return None
        return header, body

    async def _handle(self, header: Header, body: Bytes, sink: PairSink) -> None:
        at = self._at
        match header.type:
            case FrameType.HELLO if at == 0:
                frames.decode_hello(body, at, self._limits)
            case FrameType.PAIRS:
                await self._pairs(body, sink)
            case FrameType.OUTPUT:
                with self._silence.paused():
                    await sink.raw(body.data)
            case FrameType.COUNTER:
                counter = frames.decode_counter(body, at)
                self._observer.counter(counter.group, counter.name, counter.increment)
            case FrameType.STATUS:
                self._observer.status(frames.decode_text(body)[:STATUS_LIMIT_CHARACTERS])
            case FrameType.END:
                self._taken = frames.decode_end(body, at)
            case FrameType.ERROR:
                raise ProgramError(f"the program gave up: {frames.decode_text(body)[:STATUS_LIMIT_CHARACTERS]}")
            case _:
                raise ProgramProtocolError(
                    f"at byte {at} of the program's stream: expected no second {header.type.name}"
                )
        self._at = at + frames.HEADER_BYTES + header.body_bytes

    async def _pairs(self, body: Bytes, sink: PairSink) -> None:
        with doing(Step.RECEIVE):
            if len(body) > DECODE_INLINE_BYTES:
                batch = await in_thread(frames.decode_pairs, body, self._at, self._limits)
            else:
                batch = frames.decode_pairs(body, self._at, self._limits)
        self.output_records += len(batch)
        with self._silence.paused():
            await sink.pairs(batch)

    def _cut_off(self, expected: str) -> ProgramProtocolError:
        return ProgramProtocolError(
            f"at byte {self._at} of the program's stream: expected {expected}; the program closed its connection"
        )
