"""The audit log: one line for every call that changes something, hands out an owner's own, or is refused."""

import asyncio
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from apollo_common.errors import ApolloError
from apollo_common.logging import get_logger
from apollo_coordinator.api.access import CALLER
from apollo_coordinator.api.metrics import REFUSALS, UNMATCHED, ApiMetrics
from apollo_coordinator.api.problem import REASON, ApiProblem, problem_of_error

CLIENT_LEFT: Final = 499  # counted and logged, never sent
MAX_VALUE: Final = 512  # characters of what a caller chose: names, ids

JOB: Final = web.RequestKey("job", str)
"""The job that the call has made."""
DISCLOSES: Final = web.RequestKey("discloses", bool)
"""Whether the call, which changes nothing, is told all the same: it hands out what is its owner's alone."""
ARTIFACT: Final = web.RequestKey("artifact", str)
"""The artifact that the call uploads."""
WORK: Final[web.RequestKey[asyncio.Task[Any]]] = web.RequestKey("work", asyncio.Task)
"""What goes on when the client leaves; its result has a `status`."""

_SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
_SUBJECTS = {"artifacts": "artifact", "jobs": "job", "tasks": "task", "attempts": "attempt"}
_log = get_logger(__name__)


def audit(metrics: ApiMetrics) -> Middleware:
    """Outside of what makes problem documents. A call whose client left is told with how its work ended."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except (asyncio.CancelledError, ConnectionError):
            work = request.get(WORK)
            if work is None:
                _tell(request, metrics, CLIENT_LEFT, "")
            else:
                work.add_done_callback(lambda done: _tell(request, metrics, *_ended(done)))
            raise
        _tell(request, metrics, response.status, response.get(REASON, ""))
        return response

    return middleware


def _tell(request: web.Request, metrics: ApiMetrics, status: int, reason: str) -> None:
    refused = reason in REFUSALS
    if refused:
        metrics.refused(reason)
    if not refused and request.method in _SAFE_METHODS and not request.get(DISCLOSES):
        return
    resource = request.match_info.route.resource
    template = resource.canonical if resource is not None else UNMATCHED
    caller = request.get(CALLER)
    tell = _log.warning if refused else _log.info  # refusals stay where an operator turns routine lines off
    tell(
        "audit",
        user=_shown(caller.user) if caller else "",
        role=caller.role.value if caller and caller.role else "",
        method=_shown(request.method),
        route=template,
        status=status,
        reason=reason,
        remote=request.remote or "",
        **_subject(request, template),
    )


def _subject(request: web.Request, template: str) -> dict[str, str]:
    """The job, task, attempt or artifact that the call is about."""
    if job := request.get(JOB):
        return {"job": job}
    if artifact := request.get(ARTIFACT):
        return {"artifact": _shown(artifact)}
    kind = _SUBJECTS.get(template.removeprefix("/api/v1/").partition("/")[0], "")
    name = request.match_info.get("name") or request.match_info.get("id")
    return {kind: _shown(name)} if kind and name else {}


def _ended(work: "asyncio.Task[Any]") -> tuple[int, str]:
    """Status and reason of the answer that nobody was there to get."""
    if work.cancelled():
        return CLIENT_LEFT, ""
    match work.exception():
        case None:
            return work.result().status, ""
        case ApiProblem() as problem:
            return problem.status, problem.reason
        case ApolloError() as error:
            return problem_of_error(error).status, error.reason
    return 500, ""


def _shown(text: str) -> str:
    """Bounded and on one line, whatever a caller put into it."""
    text = text[:MAX_VALUE]
    return text if text.isprintable() else ascii(text)
