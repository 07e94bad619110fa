"""A small HTTP server for a service that has no other: /healthz, /readyz and /metrics.

The kubelet's gRPC probe speaks no TLS, so a worker answers its probes here.
"""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry

from apollo_common.metrics.exposition import METRICS_CONTENT_TYPE, render_metrics

_SHUTDOWN_SECONDS = 1.0


class ProbeServer:
    """Alive means that the event loop answers; ready is what `ready` says."""

    def __init__(self, registry: CollectorRegistry, ready: Callable[[], bool]) -> None:
        self._registry = registry
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; port 0 lets the system choose. The port that it listens on."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ready\n") if self._ready() else web.Response(status=503, text="not ready\n")

    async def _metrics(self, _request: web.Request) -> web.Response:
        body = render_metrics(self._registry)
        return web.Response(body=body, headers={"Content-Type": METRICS_CONTENT_TYPE})
