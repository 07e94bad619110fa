"""Listening: the aiohttp server with bounded headers and with limits on every way to stall a connection."""

import asyncio
from http import HTTPStatus
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod

from apollo_common.lifecycle import opened
from apollo_coordinator.api.problem import ApiProblem
from apollo_coordinator.api.settings import ApiSettings

MAX_REQUEST_LINE_BYTES = 8190
MAX_HEADER_FIELD_BYTES = 8190
MAX_HEADERS = 128
_METHODS = "DELETE, GET, HEAD, POST, PUT"


class ApiServer:
    """Serves the application of `make_api` on one or more sockets.

    A connection whose request's headers are not complete `header_timeout_s` after it was opened or last answered is
    closed (aiohttp's keep-alive timer covers all of these); stalled bodies and readers are the handlers' part.
    """

    def __init__(self, app: web.Application, settings: ApiSettings) -> None:
        self._settings = settings
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=settings.shutdown_s
        )
        self._listening: list[asyncio.Server] = []

    async def listen(self, host: str, port: int) -> int:
        """Listen on TCP; returns the port (useful with port 0). OSError when the address is taken."""
        await self._set_up()
        loop = asyncio.get_running_loop()
        server = await opened(loop.create_server(self._connection, host, port, reuse_address=True), _close)
        self._listening.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def listen_unix(self, path: Path) -> None:
        await self._set_up()
        loop = asyncio.get_running_loop()
        self._listening.append(await opened(loop.create_unix_server(self._connection, path), _close))

    async def close(self) -> None:
        """Stop listening, end streams, give requests under way a few seconds."""
        for server in self._listening:
            server.close()
        await self._runner.cleanup()

    async def _set_up(self) -> None:
        if self._runner.server is None:
            await self._runner.setup()

    def _connection(self) -> asyncio.Protocol:
        manager = self._runner.server
        if manager is None:
            raise ConnectionAbortedError("the server is closing")
        return _Connection(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # which is how aiohttp documents to have none
            keepalive_timeout=self._settings.header_timeout_s,
            lingering_time=self._settings.linger_s,
            max_line_size=MAX_REQUEST_LINE_BYTES,
            max_field_size=MAX_HEADER_FIELD_BYTES,
            max_headers=MAX_HEADERS,
        )


async def _close(server: asyncio.Server) -> None:
    server.close()


class _Connection(web.RequestHandler):
    """Answers what is no HTTP with a problem document; aiohttp's own answer and log line would repeat the bytes."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - as in the base class
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        if isinstance(exc, BadHttpMethod):
            return ApiProblem(405, "There is no such method.", headers={"Allow": _METHODS}, close=True).response()
        detail = "The request is not valid HTTP." if status == HTTPStatus.BAD_REQUEST else "The request failed."
        return ApiProblem(status, detail, close=True).response()
