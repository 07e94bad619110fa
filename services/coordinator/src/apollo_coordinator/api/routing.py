"""A small typed route table: one entry validates requests, shapes answers and describes itself in OpenAPI."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from apollo_coordinator.api import access
from apollo_coordinator.api.audit import WORK
from apollo_coordinator.api.problem import ApiProblem, FieldError, invalid, problem_of_validation
from apollo_coordinator.api.schemas import PageQuery
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.tasks import OwnedTasks
from apollo_coordinator.callers import Role

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler returns when the content alone does not say it all."""

    content: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """`handler(request)` gets `body=` and `query=` as well where the route has a model for them.

    It returns an Answer, the content alone, or an aiohttp response of its own making. `finishes`: once the request
    is read, the work goes on even when the client goes away.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    content: Any = None  # type of the answer's JSON; None: none, or `produces` tells
    status: int = 200
    also: dict[int, str] = field(default_factory=dict)  # further good statuses with the same content, and their meaning
    problems: tuple[int, ...] = ()
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: dict[str, str] = field(default_factory=dict)  # request headers it reads, and their meaning
    produces: str = "application/json"
    upload_field: str = ""
    finishes: bool = False
    streams: bool = False
    role: Role = Role.VIEWER  # that a caller needs
    public: bool = False  # needs no token


def add_routes(app: web.Application, routes: Sequence[Route], settings: ApiSettings, tasks: OwnedTasks) -> None:
    for route in routes:
        handler = _bind(route, settings, tasks)
        if route.method == "GET" and not route.streams:
            app.router.add_get(route.path, handler)
        else:
            app.router.add_route(route.method, route.path, handler)


async def read_body(request: web.Request, settings: ApiSettings) -> bytes:
    """The whole body. 408 when it stalls, 413 when it is too large, 400 when the connection garbles it."""
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            return await request.read()
    except TimeoutError as error:
        raise ApiProblem(408, "The request's body did not arrive in time.", close=True) from error
    except web.HTTPRequestEntityTooLarge as error:
        limit = settings.max_body_bytes
        raise ApiProblem(413, f"The body is larger than {limit} bytes.", reason="body_too_large", close=True) from error
    except web.RequestPayloadError as error:
        raise ApiProblem(400, "The request's body is damaged.", close=True) from error


def page(request: web.Request, items: Sequence[Item], query: PageQuery, key: Callable[[Item], str]) -> Answer:
    """One page of a list that is in memory, with the link to the next one."""
    start = 0
    if query.after is not None:
        start = 1 + next((index for index, item in enumerate(items) if key(item) == query.after), -1)
        if start == 0:
            raise unknown_cursor()
    return link_page(request, items[start : start + query.limit + 1], query, key)


def link_page(request: web.Request, items: Sequence[Item], query: PageQuery, key: Callable[[Item], str]) -> Answer:
    """`items`: one more than the limit when the list goes on."""
    shown = list(items[: query.limit])
    if len(items) <= query.limit:
        return Answer(shown)
    target = request.url.update_query({"limit": query.limit, "after": key(shown[-1])})
    return Answer(shown, headers={"Link": f'<{target}>; rel="next"'})


def unknown_cursor() -> ApiProblem:
    return invalid(FieldError(field="after", message="The list holds no such item.", fix="Start again without after."))


def _bind(
    route: Route, settings: ApiSettings, tasks: OwnedTasks
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    adapter = TypeAdapter(route.content) if route.content is not None else None

    async def work(request: web.Request, models: dict[str, BaseModel]) -> Answer | web.StreamResponse:
        outcome = await route.handler(request, **models)
        return outcome if isinstance(outcome, Answer | web.StreamResponse) else Answer(outcome, route.status)

    async def handle(request: web.Request) -> web.StreamResponse:
        if not route.public:
            access.require(request, route.role)
        models: dict[str, BaseModel] = {}
        if route.query is not None:
            models["query"] = _validate(route.query, lambda model: model.model_validate(dict(request.query)))
        if route.body is not None:
            raw = await read_body(request, settings)
            models["body"] = _validate(route.body, lambda model: model.model_validate_json(raw))
        if route.finishes:
            request[WORK] = tasks.begin(work(request, models))
            answer = await asyncio.shield(request[WORK])
        else:
            answer = await work(request, models)
        if isinstance(answer, web.StreamResponse):
            return answer
        if adapter is None:
            return web.Response(status=answer.status, headers=answer.headers)
        body = adapter.dump_json(adapter.validate_python(answer.content), by_alias=True)
        return web.Response(status=answer.status, headers=answer.headers, body=body, content_type="application/json")

    return handle


def _validate(model: type[BaseModel], parse: Callable[[type[BaseModel]], BaseModel]) -> BaseModel:
    try:
        return parse(model)
    except ValidationError as error:
        raise problem_of_validation(error, model) from None
