"""Puts the API together: route table, middlewares, description."""

import asyncio
import functools
import json
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from apollo_coordinator.api import access, middleware
from apollo_coordinator.api.artifact_routes import ArtifactRoutes
from apollo_coordinator.api.attempt_routes import AttemptRoutes
from apollo_coordinator.api.audit import audit
from apollo_coordinator.api.bad_record_routes import BadRecordRoutes
from apollo_coordinator.api.docs import render
from apollo_coordinator.api.event_routes import EventRoutes
from apollo_coordinator.api.job_routes import JobRoutes
from apollo_coordinator.api.metrics import ApiMetrics
from apollo_coordinator.api.openapi import describe
from apollo_coordinator.api.redrive_routes import RedriveRoutes
from apollo_coordinator.api.replay_routes import EncodeOrder, ReplayRoutes
from apollo_coordinator.api.routing import Route, add_routes
from apollo_coordinator.api.service_routes import ServiceRoutes
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.tasks import OwnedTasks
from apollo_coordinator.api.web_routes import WebRoutes
from apollo_coordinator.callers import Authenticator
from apollo_coordinator.jobs import JobService
from apollo_coordinator.ports import ArtifactStore, LogStore, MapOutputReader

_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def make_api(
    *,
    service: JobService,
    artifacts: ArtifactStore,
    logs: LogStore,
    settings: ApiSettings,
    registry: CollectorRegistry,
    map_outputs: MapOutputReader,
    encode: EncodeOrder,
    authenticator: Authenticator | None = None,
) -> web.Application:
    """The application; `server.ApiServer` serves it. `registry` is what /metrics shows and gets the API's metrics.

    `encode` writes down what a worker is told. Without an `authenticator` nobody is asked for a token: everybody may
    do everything.
    """
    tasks = OwnedTasks(settings.max_streams)
    routes = [
        *ArtifactRoutes(artifacts, service, settings).routes(),
        *JobRoutes(service, artifacts, settings).routes(),
        *BadRecordRoutes(service).routes(),
        *RedriveRoutes(service, artifacts, settings).routes(),
        *EventRoutes(service, settings, tasks).routes(),
        *AttemptRoutes(service, logs, settings, tasks).routes(),
        *ReplayRoutes(service, artifacts, map_outputs, encode, settings, tasks).routes(),
        *ServiceRoutes(service, registry).routes(),
    ]
    open_to_all = authenticator is None
    routes += _description([*routes], open_to_all=open_to_all)
    routes += WebRoutes().routes()
    metrics = ApiMetrics(registry)
    app = web.Application(
        client_max_size=settings.max_body_bytes,
        middlewares=[
            middleware.observe(metrics),
            middleware.finish_in_time(settings),
            audit(metrics),
            middleware.problems,
            access.refuse_other_sites(settings, open_to_all=open_to_all),
            access.authenticate(authenticator, frozenset(route.path for route in routes if route.public)),
            middleware.await_recovery(service),
        ],
    )
    add_routes(app, routes, settings, tasks)
    for route in routes:
        metrics.expect(route.method, route.path)

    async def end_streams(_app: web.Application) -> None:
        tasks.end_streams()

    async def close(_app: web.Application) -> None:
        await tasks.close()

    app.on_shutdown.append(end_streams)
    app.on_cleanup.append(close)
    return app


def _description(routes: list[Route], *, open_to_all: bool) -> list[Route]:
    @functools.cache
    def document() -> dict[str, Any]:  # made when it is first asked for: starting up has better things to do
        return describe(routes, open_to_all=open_to_all)

    async def openapi(_request: web.Request) -> web.Response:
        text = await asyncio.to_thread(lambda: json.dumps(document(), indent=1))
        return web.Response(text=text, content_type="application/json")

    async def docs(_request: web.Request) -> web.Response:
        page = await asyncio.to_thread(lambda: render(document()))
        return web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": _PAGE_POLICY})

    return [
        Route("GET", "/openapi.json", openapi, "This API as OpenAPI 3.1"),
        Route("GET", "/docs", docs, "This API as a page to read", produces="text/html"),
    ]
