"""The link to a worker: frames over its Unix socket."""

import socket
from collections.abc import Iterator

from apollo_sdk import wire
from apollo_sdk.block import Block
from apollo_sdk.link import Group
from apollo_sdk.wire import GroupFrame, WorkerProtocolError

READ_BUFFER_BYTES = 256 << 10
SEND_BUFFER_BYTES = 1 << 20  # asked for; the kernel may give less
SDK_NAME = "python/0.1.0"


class FramesLink:
    """Speaks version 1 of the artifact protocol."""

    def __init__(self, socket_path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._socket.connect(socket_path)
        self._reader = self._socket.makefile("rb", READ_BUFFER_BYTES)
        self._socket.sendall(wire.hello({"sdk": SDK_NAME}))
        kind, body = self._receive()
        if kind != wire.HELLO:
            raise WorkerProtocolError(f"the worker began with a frame of type {kind}, not with HELLO")
        try:
            self.settings = wire.decode_hello(body)
        except wire.ProtocolMismatch as mismatch:
            self.fail(str(mismatch))
            raise

    def blocks(self) -> Iterator[Block]:
        input_url = ""
        while True:
            kind, body = self._receive()
            if kind == wire.RECORDS:
                yield wire.decode_records(body, input_url)
            elif kind == wire.INPUT:
                input_url = wire.decode_input(body)
            elif kind == wire.END:
                wire.decode_end(body)
                return
            else:
                raise WorkerProtocolError(f"the worker sent a frame of type {kind} to a mapper")

    def groups(self) -> Iterator[Group]:
        frame, first = self._group_frame(), 0
        if frame is not None and frame.continues:
            raise WorkerProtocolError("the worker goes on with a group that it has not begun")
        while frame is not None:
            for index in range(first, len(frame.keys) - 1):
                yield frame.keys[index], iter(frame.values[index])
            last = _LastGroup(self, frame)
            values = last.values()
            yield frame.keys[-1], values
            for _ in values:  # what the program left unread
                pass
            frame, first = last.following, last.following_first

    def pairs(self, keys: list[bytes], values: list[bytes]) -> None:
        self._socket.sendall(wire.pairs(keys, values))

    def write(self, content: bytes) -> None:
        self._socket.sendall(wire.frame(wire.OUTPUT, content))

    def counter(self, group: str, name: str, increment: int) -> None:
        self._socket.sendall(wire.counter(group, name, increment))

    def status(self, message: str) -> None:
        self._socket.sendall(wire.frame(wire.STATUS, message.encode()))

    def end(self, taken: int) -> None:
        self._socket.sendall(wire.end(taken))
        self._reader.close()
        self._socket.close()

    def fail(self, message: str) -> None:
        self._socket.sendall(wire.frame(wire.ERROR, message.encode()))

    def _group_frame(self) -> GroupFrame | None:
        kind, body = self._receive()
        if kind == wire.GROUPS:
            return wire.decode_groups(body)
        if kind == wire.END:
            wire.decode_end(body)
            return None
        raise WorkerProtocolError(f"the worker sent a frame of type {kind} to a reducer")

    def _receive(self) -> tuple[int, bytes]:
        kind, body_bytes = wire.header(self._exactly(wire.HEADER_BYTES))
        return kind, self._exactly(body_bytes)

    def _exactly(self, size_bytes: int) -> bytes:
        content: bytes = self._reader.read(size_bytes)
        if len(content) < size_bytes:
            raise ConnectionError("the worker closed the connection")
        return content


class _LastGroup:
    """The last group of a frame, which goes on as long as the next frames say so."""

    def __init__(self, link: FramesLink, frame: GroupFrame) -> None:
        self._link = link
        self._frame = frame
        self.following: GroupFrame | None = None  # set when the values are exhausted
        self.following_first = 0

    def values(self) -> Iterator[bytes]:
        yield from self._frame.values[-1]
        while (frame := self._link._group_frame()) is not None:  # noqa: SLF001  # a part of the link
            if not frame.continues:
                self.following = frame
                return
            if frame.keys[0] != self._frame.keys[-1]:
                raise WorkerProtocolError("the worker goes on with a group under another key")
            yield from frame.values[0]
            if len(frame.keys) > 1:
                self.following, self.following_first = frame, 1
                return
