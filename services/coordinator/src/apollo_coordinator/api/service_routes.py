"""What is not about jobs: health, readiness, metrics, and the API's description of itself."""

from aiohttp import web
from prometheus_client import CollectorRegistry

from apollo_common.metrics.exposition import METRICS_CONTENT_TYPE, render_metrics
from apollo_common.volumes import Volume, shortage
from apollo_coordinator.api.problem import ApiProblem
from apollo_coordinator.api.routing import Route
from apollo_coordinator.api.views import HealthView
from apollo_coordinator.jobs import JobService


class ServiceRoutes:
    def __init__(self, service: JobService, registry: CollectorRegistry) -> None:
        self._service = service
        self._registry = registry

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/healthz", self.health, "Whether the process is alive", content=HealthView, public=True),
            Route(
                "GET",
                "/readyz",
                self.ready,
                "Whether jobs are taken",
                content=HealthView,
                problems=(503,),
                public=True,
            ),
            Route("GET", "/metrics", self.metrics, "Prometheus metrics", produces="text/plain", public=True),
        ]

    async def health(self, _request: web.Request) -> HealthView:
        return HealthView()

    async def ready(self, _request: web.Request) -> HealthView:
        if not self._service.ready:
            why = f": {shortage(Volume.COORDINATOR)}" if self._service.full else ""
            raise ApiProblem(503, f"The coordinator takes no jobs now{why}.", reason="not_ready")
        return HealthView()

    async def metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=render_metrics(self._registry), headers={"Content-Type": METRICS_CONTENT_TYPE})
