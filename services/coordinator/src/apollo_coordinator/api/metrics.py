"""Metrics of the HTTP API. Labels are bounded: route templates, the methods of HTTP, classes of statuses."""

from typing import Final

from prometheus_client import CollectorRegistry

from apollo_common.metrics.families import AnyFamily, Label, counter, gauge, histogram

UNMATCHED: Final = "unmatched"
REFUSALS: Final = frozenset(
    {
        *("token_missing", "token_invalid", "authentication_unavailable"),
        *("role_missing", "not_owner", "foreign_host", "foreign_origin"),
    }
)
"""Reasons for which a caller is turned away: those of problem documents."""

_METHOD: Final = Label(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"), at_once=False, more=True)
_ROUTE: Final = Label(words=f"the template of a route, as in [http-api.md](http-api.md), or `{UNMATCHED}`")
_SERVER_ERROR: Final = "5xx"
_STATUS: Final = Label(("1xx", "2xx", "3xx", "4xx", _SERVER_ERROR), at_once=(_SERVER_ERROR,))

REQUESTS: Final = counter(
    "apollo_http_requests_total",
    "HTTP requests answered; one whose client left before its answer is a 4xx.",
    {"method": _METHOD, "route": _ROUTE, "status": _STATUS},
)
SECONDS: Final = histogram(
    "apollo_http_request_duration_seconds",
    "From a request's headers to its answer; without streams.",
    {"method": _METHOD, "route": _ROUTE},
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60),
)
REFUSED: Final = counter(
    "apollo_http_refusals_total",
    "Requests of callers who may not make them.",
    {"reason": Label(tuple(sorted(REFUSALS)))},
)
ACTIVE: Final = gauge("apollo_http_requests_active", "HTTP requests under way, streams too.")

FAMILIES: Final[tuple[AnyFamily, ...]] = (ACTIVE, REQUESTS, SECONDS, REFUSED)


class ApiMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = REQUESTS.on(registry)
        self._seconds = SECONDS.on(registry)
        self._refusals = REFUSED.on(registry)
        self._active = ACTIVE.on(registry).of()

    def expect(self, method: str, route: str) -> None:
        """Of a route that there is; the first error that it meets has to show as one more than none."""
        self._requests.of(method, route, _SERVER_ERROR)

    def began(self) -> None:
        self._active.inc()

    def refused(self, reason: str) -> None:
        self._refusals.of(reason).inc()

    def ended(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """`route`: a template, or UNMATCHED. `seconds` is None for a stream."""
        self._active.dec()
        self._requests.of(method, route, f"{status // 100}xx").inc()
        if seconds is not None:
            self._seconds.of(method, route).observe(seconds)
