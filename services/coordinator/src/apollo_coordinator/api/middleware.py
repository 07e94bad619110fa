"""What happens to every request: counting and logging, problem documents, the bearer token, browsers of other sites."""

import asyncio
import hmac
import ipaddress
import time
import traceback
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from apollo_common.errors import ApolloError
from apollo_common.logging import get_logger
from apollo_coordinator.api.metrics import UNMATCHED, ApiMetrics
from apollo_coordinator.api.problem import ApiProblem, problem_of_error
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.jobs import JobService

_log = get_logger(__name__)
_SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_HEADERS = {"X-Content-Type-Options": "nosniff", "Server": "apollo"}
CLIENT_LEFT = 499  # counted, never sent


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


def authorize(settings: ApiSettings, public: frozenset[str]) -> Middleware:
    """Ask for the operator's token everywhere but on the `public` routes (templates)."""
    expected = settings.token.encode()

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        if expected and (resource is None or resource.canonical not in public):
            scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
            given = token.strip().encode(errors="surrogateescape")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given, expected):
                detail = "This coordinator asks for a token: send Authorization: Bearer TOKEN."
                raise ApiProblem(401, detail, reason="unauthorized", headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return middleware


def await_recovery(service: JobService) -> Middleware:
    """Answer nothing about jobs and artifacts before the journal is read: what is there would seem not to be."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not service.recovered and request.path.startswith("/api/"):
            detail = "The coordinator is starting: it reads its journal."
            raise ApiProblem(503, detail, reason="not_ready", headers={"Retry-After": "1"})
        return await handler(request)

    return middleware


def refuse_other_sites(settings: ApiSettings) -> Middleware:
    """Keep web pages of other sites from doing anything through a visitor's browser.

    A page may have had its own name resolve to this machine (DNS rebinding), and would then read answers as its own:
    where only local names are right, Host must be one. Browsers send Origin with requests that change something;
    without a token it must also name this machine by address or as localhost.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get(hdrs.HOST)
        if settings.local_names_only and host is not None and not _is_local_name(f"//{host}"):
            detail = "This coordinator is for this machine alone: call it by its address, or as localhost."
            raise ApiProblem(403, detail, reason="foreign_host")
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and request.method not in _SAFE_METHODS:
            is_same = origin.partition("://")[2] == request.host
            if not is_same or not (settings.token or _is_local_name(origin)):
                raise ApiProblem(403, "Pages of other sites may not use this coordinator.", reason="foreign_origin")
        return await handler(request)

    return middleware


def _is_local_name(url: str) -> bool:
    try:
        host = urlsplit(url).hostname
    except ValueError:  # half an IPv6 address
        return False
    try:
        ipaddress.ip_address(host or "")
    except ValueError:
        return host == "localhost"
    return True


def _of_http(request: web.Request, error: web.HTTPException) -> ApiProblem:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"{request.path} does not know this method; it knows {allowed}."
        return ApiProblem(405, detail, headers={"Allow": allowed})
    if error.status == 404:
        return ApiProblem(404, "There is nothing at this path; /docs lists what there is.")
    return ApiProblem(error.status, error.reason)
