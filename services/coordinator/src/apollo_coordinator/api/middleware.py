"""What happens to every request: counting and logging, an end in time, problem documents, waiting for the journal."""

import asyncio
import time
import traceback

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from apollo_common.errors import ApolloError
from apollo_common.logging import get_logger
from apollo_coordinator.api.audit import CLIENT_LEFT
from apollo_coordinator.api.metrics import UNMATCHED, ApiMetrics
from apollo_coordinator.api.problem import ApiProblem, problem_of_error
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.jobs import JobService

_log = get_logger(__name__)
_HEADERS = {"X-Content-Type-Options": "nosniff", "Server": "apollo"}


def observe(metrics: ApiMetrics) -> Middleware:
    """Count, time and log each request. The outermost middleware."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        metrics.began()
        started = time.monotonic()
        status, streamed = CLIENT_LEFT, False
        try:
            response = await handler(request)
            status, streamed = response.status, not isinstance(response, web.Response)
            return response
        finally:
            seconds = time.monotonic() - started
            route = request.match_info.route.resource
            template = route.canonical if route is not None else UNMATCHED
            metrics.ended(request.method, template, status, None if streamed else seconds)
            _log.debug("request", method=request.method, route=template, status=status, seconds=round(seconds, 4))

    return middleware


def finish_in_time(settings: ApiSettings) -> Middleware:
    """Drop the connection of a client that does not read its answer. Streams see to that themselves."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if isinstance(response, web.Response):
            response.headers.update(_HEADERS)
            try:
                async with asyncio.timeout(settings.write_timeout_s):
                    await response.prepare(request)
                    await response.write_eof()
            except TimeoutError:
                if request.transport is not None:
                    request.transport.abort()
        return response

    return middleware


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever is raised into a problem document that a client may see."""
    try:
        return await handler(request)
    except ApiProblem as problem:
        return problem.response()
    except ApolloError as error:
        return problem_of_error(error).response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _of_http(request, error).response()
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:  # noqa: BLE001 - the last resort of every request
        # As text: a renderer that shows local variables would show credentials.
        _log.error("request failed", method=request.method, path=request.path, traceback=traceback.format_exc())
        return ApiProblem(500, "The coordinator met an error of its own; its log says more.").response()


def await_recovery(service: JobService) -> Middleware:
    """Answer nothing about jobs and artifacts before the journal is read: what is there would seem not to be."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not service.recovered and request.path.startswith("/api/"):
            detail = "The coordinator is starting: it reads its journal."
            raise ApiProblem(503, detail, reason="not_ready", headers={"Retry-After": "1"})
        return await handler(request)

    return middleware


def _of_http(request: web.Request, error: web.HTTPException) -> ApiProblem:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"{request.path} does not know this method; it knows {allowed}."
        return ApiProblem(405, detail, headers={"Allow": allowed})
    if error.status == 404:
        return ApiProblem(404, "There is nothing at this path; /docs lists what there is.")
    return ApiProblem(error.status, error.reason)
