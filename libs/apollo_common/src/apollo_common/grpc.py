"""grpclib, made fit for long-lived services: the one place that knows its traps.

Both ends use `GrpcServer` and `GrpcChannel` from here instead of grpclib's own classes. Importing this module
corrects two of grpclib's internals that no subclass can reach (see `_leave` and `_BoundedBuffer`); the rest is
ordinary subclassing. Written against grpclib 0.4.9.
"""

import asyncio
import hmac
import ssl
import weakref
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, cast

import grpclib.protocol
from grpclib import GRPCError
from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.events import RecvRequest, listen
from grpclib.protocol import Buffer, H2Protocol
from grpclib.server import Server
from grpclib.utils import Wrapper
from h2.settings import SettingCodes

from apollo_common.message_codec import MessageCodec
from apollo_common.tls import WORKER_NAME

MAX_MESSAGE_BYTES: Final = 64 << 20
"""Of one message, received or sent: far above a task assignment, far below a worker's memory."""

MAX_STREAMS: Final = 1000
"""Calls at a time on one connection. grpclib's default is 100, and the 101st call waits without a word."""

_MAX_FRAME_BYTES: Final = 1 << 20
_CLOSE_GRACE_SECONDS: Final = 5.0
_AUTHORIZATION: Final = "authorization"


def keepalive_configuration(*, every_seconds: float = 10.0, timeout_seconds: float = 20.0) -> Configuration:
    """Ping the peer, calls or none, and drop the connection when it does not answer: a stopped one must not hang us."""
    return Configuration(
        _keepalive_time=every_seconds,
        _keepalive_timeout=timeout_seconds,
        _keepalive_permit_without_calls=True,
        _http2_max_pings_without_data=0,
        _http2_min_sent_ping_interval_without_data=every_seconds / 2,
    )


def bearer_metadata(token: str) -> dict[str, str]:
    """The metadata of a call that shows `token`; empty when there is none to show."""
    return {_AUTHORIZATION: f"Bearer {token}"} if token else {}


class ChannelClosed(ConnectionError):
    """A call on a channel that its owner has closed."""


class GrpcChannel(Channel):
    """A client connection with keepalive and large frames. Connects on the first call, and again after a loss."""

    def __init__(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, config: Configuration | None = None
    ) -> None:
        """With `tls` the server has to be a worker: it is known by that name at whatever address."""
        config = replace(config or keepalive_configuration(), ssl_target_name_override=WORKER_NAME)
        super().__init__(host, port, codec=MessageCodec(), ssl=tls, config=config)
        self._closed = False

    async def __connect__(self) -> H2Protocol:
        """Never again once closed: grpclib would connect anew and leak it."""
        if self._closed:
            raise ChannelClosed("the connection was closed on this side")
        protocol = await super().__connect__()
        if self._closed:  # while it was being made
            super().close()
            raise ChannelClosed("the connection was closed on this side")
        if protocol.processor.connection.is_closing():  # grpclib would stumble over what is left of it
            raise ConnectionResetError("the connection was lost as soon as it was made")
        return protocol

    def close(self) -> None:
        self._closed = True
        super().close()

    def _protocol_factory(self) -> H2Protocol:
        return _TunedProtocol(grpclib.client.Handler(), self._config, self._h2_config)


class GrpcServer(Server):
    """A server that checks who calls, tells when it is called, and closes in bounded time with clients connected."""

    def __init__(
        self,
        handlers: list[Any],
        *,
        token: str = "",
        tls: ssl.SSLContext | None = None,
        config: Configuration | None = None,
    ) -> None:
        """`token`: that callers have to show. `tls`: nothing is said to who does not pass its handshake."""
        super().__init__(handlers, codec=MessageCodec(), config=config or keepalive_configuration())
        self._connections: weakref.WeakSet[H2Protocol] = weakref.WeakSet()
        self._token = token
        self._tls = tls
        self._closing = False
        self.last_call_seconds = self._loop.time()  # on the loop's clock; health checks do not count
        listen(self, RecvRequest, self._admit)

    async def listen_on(self, host: str, port: int) -> int:
        """Start; port 0 lets the system choose. The port that it listens on."""
        await self.start(host, port, ssl=self._tls)
        return int(cast(asyncio.Server, self._server).sockets[0].getsockname()[1])

    async def stop(self, grace_seconds: float) -> None:
        """Take no new calls, give running ones `grace_seconds`, then cancel them and close every connection."""
        if self._server is None:
            return
        self._closing = True
        self._server.close()
        calls = {task for handler in self._handlers for task in handler._tasks.values() if not task.done()}  # noqa: SLF001
        if calls:
            await asyncio.wait(calls, timeout=grace_seconds)
        self.close()
        for connection in list(self._connections):
            if hasattr(connection, "processor"):
                connection.processor.close("the server shuts down")
        # Python 3.12 waits for the clients to hang up, too; they have just been told.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_GRACE_SECONDS):
                await self.wait_closed()

    def _protocol_factory(self) -> H2Protocol:
        plain = super()._protocol_factory()  # registers a handler for the new connection
        connection = _TunedProtocol(plain.handler, plain.config, plain.h2_config)
        self._connections.add(connection)
        return connection

    async def _admit(self, request: RecvRequest) -> None:
        if self._closing:
            raise GRPCError(Status.UNAVAILABLE, "the server shuts down")
        if request.method_name.startswith("/grpc.health."):
            return
        if self._token and not hmac.compare_digest(
            str(request.metadata.get(_AUTHORIZATION, "")).encode(), f"Bearer {self._token}".encode()
        ):
            raise GRPCError(Status.UNAUTHENTICATED, "the token is missing or wrong")
        self.last_call_seconds = self._loop.time()


class _TunedProtocol(H2Protocol):
    """Announces larger frames (fewer, cheaper reads) and, on a server, more streams than grpclib does."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        settings: dict[SettingCodes | int, int] = {SettingCodes.MAX_FRAME_SIZE: _MAX_FRAME_BYTES}
        if not self.h2_config.client_side:
            settings[SettingCodes.MAX_CONCURRENT_STREAMS] = MAX_STREAMS
        self.connection._connection.update_settings(settings)  # noqa: SLF001 - grpclib offers no other way
        self.connection.flush()

    def connection_lost(self, exc: BaseException | None) -> None:
        """With the reason, such as a certificate that the peer did not take."""
        self.processor.close(f"Connection lost: {exc}" if exc else "Connection lost")


def _wake(self: Any, error: Exception) -> None:
    """Replaces Wrapper.cancel, which wakes a call's tasks by cancelling them.

    Remembers whom, and how often each had been cancelled before. A connection that closes calls this twice: the first
    error stays, and nobody is cancelled again.
    """
    self._error = self._error or error
    woken = self.__dict__.setdefault("_woken", {})
    for task in self._tasks - woken.keys():
        woken[task] = task.cancelling()
        task.cancel()
    self.cancelled = True


def _leave(
    self: Any, exc_type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
) -> None:
    """Replaces Wrapper.__exit__, which never takes that cancellation back (Task.uncancel).

    Without it, every later asyncio.timeout or TaskGroup in the same task misbehaves after one lost connection, and a
    cancellation that came from elsewhere at the same moment is lost.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("called outside a task")
    self._tasks.discard(task)
    if self._error is None:
        return
    self.cancel_failed = exc_type is not asyncio.CancelledError
    before = self.__dict__.get("_woken", {}).pop(task, None)
    if before is not None and task.uncancel() > before and exc_type is asyncio.CancelledError:
        return  # someone else cancelled the task as well: let that pass
    raise self._error


class _BoundedBuffer(Buffer):
    """grpclib believes whatever length a message claims; this one refuses what is over MAX_MESSAGE_BYTES."""

    async def read(self, size: int) -> bytes:
        if size > MAX_MESSAGE_BYTES:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, f"a message of {size} bytes is over {MAX_MESSAGE_BYTES}")
        content: bytes = await super().read(size)
        return content


Wrapper.cancel = _wake  # type: ignore[method-assign]
Wrapper.__exit__ = _leave  # type: ignore[method-assign]
grpclib.protocol.Buffer = _BoundedBuffer  # type: ignore[misc]
