"""One descriptor, a socket's or a pipe's, read and written from the event loop without copies."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence

from apollo_common.timings import Step
from apollo_worker.artifact.silence import Silence
from apollo_worker.core.frames import Buffer
from apollo_worker.steps import doing

YIELD_EVERY_BYTES = 1 << 20  # a peer that is always ready must not keep the loop from its other tasks
_CALL_COST_BYTES = 4 << 10  # what a system call counts towards that, so that tiny frames yield too


class Channel:
    """Owns a non-blocking descriptor. Reading and writing may go on at once, each by one task."""

    def __init__(self, descriptor: int, silence: Silence) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._silence = silence
        self._receiving, self._sending = doing(Step.RECEIVE), doing(Step.SEND)
        self._until_yield_bytes = YIELD_EVERY_BYTES
        self.received_bytes = 0
        self.sent_bytes = 0

    async def receive_into(self, buffer: memoryview) -> int:
        """Fill a part of the buffer; 0 at the end of the stream."""
        while True:
            try:
                with self._receiving:
                    received = os.readv(self._descriptor, [buffer])
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await self._ready(loop.add_reader, loop.remove_reader)
                continue
            except ConnectionResetError:  # the peer left without reading all that it was sent
                return 0
            self.received_bytes += received
            await self._moved(received)
            return received

    async def receive_exactly(self, buffer: memoryview) -> int:
        """Fill the buffer; fewer bytes only at the end of the stream."""
        filled = 0
        while filled < len(buffer):
            received = await self.receive_into(buffer[filled:])
            if not received:
                break
            filled += received
        return filled

    async def send(self, buffers: Sequence[Buffer]) -> None:
        """Send all; BrokenPipeError when the peer reads no more."""
        pending = deque(memoryview(buffer).cast("B") for buffer in buffers if len(buffer))
        while pending:
            try:
                with self._sending:
                    sent = os.writev(self._descriptor, pending)
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await self._ready(loop.add_writer, loop.remove_writer)
                continue
            except ConnectionResetError as error:
                raise BrokenPipeError from error
            self.sent_bytes += sent
            _drop(pending, sent)
            await self._moved(sent)

    def close(self) -> None:
        """Close the descriptor; the peer sees the end of the stream. A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    async def _ready(self, add: Callable[..., None], remove: Callable[[int], object]) -> None:
        ready = asyncio.get_running_loop().create_future()
        add(self._descriptor, _resolve, ready)
        try:
            await ready
        finally:
            remove(self._descriptor)

    async def _moved(self, size_bytes: int) -> None:
        self._silence.touch()
        self._until_yield_bytes -= size_bytes + _CALL_COST_BYTES
        if self._until_yield_bytes <= 0:
            self._until_yield_bytes = YIELD_EVERY_BYTES
            await asyncio.sleep(0)


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def _drop(pending: deque[memoryview], sent: int) -> None:
    while pending and sent >= len(pending[0]):
        sent -= len(pending.popleft())
    if sent:
        pending[0] = pending[0][sent:]
