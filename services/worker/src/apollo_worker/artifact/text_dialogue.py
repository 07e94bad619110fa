"""The text protocol over standard input and output: Hadoop Streaming's conversation."""

import fcntl
import os
import socket
import termios
from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np

from apollo_common.threads import in_thread
from apollo_common.timings import Step
from apollo_worker.artifact.channel import Channel
from apollo_worker.artifact.context import StdioName, TextProtocol
from apollo_worker.artifact.dialogue import Chunk
from apollo_worker.artifact.silence import Silence
from apollo_worker.artifact.text_input import pair_lines, record_lines
from apollo_worker.core.columns import PairBatch, RecordBlock
from apollo_worker.core.frames import Limits, record_too_large
from apollo_worker.core.text import count_lines, longest_line_bytes, parse_lines
from apollo_worker.ports import PairSink
from apollo_worker.steps import doing

READ_BUFFER_BYTES = 1 << 20
KERNEL_BUFFER_BYTES = 1 << 20  # asked for; the kernel may give less


class TextDialogue:
    """See Dialogue. The worker keeps the program's standard input open to learn how much of it was left unread."""

    broken = False

    def __init__(self, stdio: StdioName, text: TextProtocol, limits: Limits, silence: Silence) -> None:
        make_ends = _socket_ends if stdio == "socket" else _pipe_ends
        self.stdin, our_stdin = make_ends()
        our_stdout, self._program_stdout = make_ends()
        self._input = Channel(our_stdin, silence)
        self._output = Channel(our_stdout, silence)
        self._silence = silence
        self._limits = limits
        self._text = text
        self.output_records = 0

    @property
    def stdout(self) -> int | None:
        return self._program_stdout

    def encode_records(self, records: AsyncIterator[RecordBlock]) -> AsyncGenerator[Chunk, None]:
        return record_lines(records)

    def encode_pairs(self, pairs: AsyncIterator[PairBatch]) -> AsyncGenerator[Chunk, None]:
        return pair_lines(pairs, self._text.input_separator)

    def program_started(self) -> None:
        os.close(self._program_stdout)
        self._program_stdout = -1

    async def opened(self) -> None:
        """At once: the program's standard input is open."""

    async def send(self, chunk: Chunk) -> None:
        await self._input.send(chunk.buffers)

    async def end_input(self) -> None:
        self._input.close()

    async def drain(self, sink: PairSink) -> None:
        """Whole lines to the sink, some half a buffer at a time; a last line without its end gets one.

        The buffer grows for a long line, and only for it: many short lines would cost far more than their bytes.
        """
        buffer = bytearray(READ_BUFFER_BYTES)
        filled = searched = 0
        while True:
            if filled == len(buffer):
                buffer = self._grown(buffer)
            received = await self._output.receive_into(memoryview(buffer)[filled:])
            if not received:
                break
            filled += received
            if filled < READ_BUFFER_BYTES // 2:
                continue
            whole = buffer.rfind(b"\n", searched, filled) + 1
            if whole:
                await self._deliver(buffer, whole, sink)
                rest = buffer[whole:filled]
                if len(buffer) > READ_BUFFER_BYTES > len(rest):
                    buffer = bytearray(READ_BUFFER_BYTES)
                filled = len(rest)
                buffer[:filled] = rest
            searched = filled
        if filled and buffer[filled - 1] != ord("\n"):
            buffer[filled : filled + 1] = b"\n"
            filled += 1
        if filled:
            await self._deliver(buffer, filled, sink)

    def program_ended(self) -> None:
        """Nothing to do: the ends of the streams tell."""

    def has_read(self) -> bool:
        unread = int.from_bytes(fcntl.ioctl(self.stdin, termios.FIONREAD, bytes(4)), "little")
        return self._input.sent_bytes > unread

    def check(self) -> None:
        """Nothing is kept: any line is right."""

    def close(self) -> None:
        self._input.close()
        self._output.close()
        for descriptor in (self.stdin, self._program_stdout):
            if descriptor >= 0:
                os.close(descriptor)
        self.stdin = self._program_stdout = -1

    async def _deliver(self, buffer: bytearray, size_bytes: int, sink: PairSink) -> None:
        content = np.frombuffer(buffer, np.uint8, size_bytes)
        if size_bytes > self._limits.record_bytes:
            longest = longest_line_bytes(content)
            if longest > self._limits.record_bytes:
                raise record_too_large(longest, self._limits)
        if self._text.raw_output:
            self.output_records += count_lines(content)
            with self._silence.paused():
                await sink.raw(content.data)
            return
        with doing(Step.RECEIVE):
            batch = await in_thread(parse_lines, content, self._text.output_fields)
        self.output_records += len(batch)
        with self._silence.paused():
            await sink.pairs(batch)

    def _grown(self, full: bytearray) -> bytearray:
        """A larger buffer for a line that fills this one: at most a full one more than a line may have."""
        if len(full) > self._limits.record_bytes:
            raise record_too_large(len(full), self._limits)
        return full + bytearray(min(len(full), self._limits.record_bytes + READ_BUFFER_BYTES - len(full)))


def _socket_ends() -> tuple[int, int]:
    """Both ends of a socketpair; reading and writing differ only by use."""
    reader, writer = socket.socketpair()
    writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
    return reader.detach(), writer.detach()


def _pipe_ends() -> tuple[int, int]:
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, KERNEL_BUFFER_BYTES)
    except PermissionError:  # the user's pipes hold too much already; the default size works as well
        return reader, writer
    return reader, writer
