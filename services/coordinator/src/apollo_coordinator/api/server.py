"""Listening: the aiohttp server with bounded headers and with limits on every way to stall a connection."""

from pathlib import Path

from aiohttp import web

from apollo_coordinator.api.settings import ApiSettings

MAX_REQUEST_LINE_BYTES = 8190
MAX_HEADER_FIELD_BYTES = 8190
MAX_HEADERS = 128


class ApiServer:
    """Serves the application of `make_api` on one or more sockets.

    A connection whose request's headers are not complete `header_timeout_s` after it was opened or last answered is
    closed (aiohttp's keep-alive timer covers all of these); stalled bodies and readers are the handlers' part.
    """

    def __init__(self, app: web.Application, settings: ApiSettings) -> None:
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handler_cancellation=True,
            keepalive_timeout=settings.header_timeout_s,
            lingering_time=settings.linger_s,
            max_line_size=MAX_REQUEST_LINE_BYTES,
            max_field_size=MAX_HEADER_FIELD_BYTES,
            max_headers=MAX_HEADERS,
            shutdown_timeout=settings.shutdown_s,
        )
        self._is_set_up = False

    async def listen(self, host: str, port: int) -> int:
        """Listen on TCP; returns the port (useful with port 0). OSError when the address is taken."""
        await self._set_up()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound: int = self._runner.addresses[-1][1]
        return bound

    async def listen_unix(self, path: Path) -> None:
        await self._set_up()
        await web.UnixSite(self._runner, str(path)).start()

    async def close(self) -> None:
        """Stop listening, end streams, give requests under way a few seconds."""
        await self._runner.cleanup()

    async def _set_up(self) -> None:
        if not self._is_set_up:
            await self._runner.setup()
            self._is_set_up = True
