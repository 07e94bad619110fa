"""Metrics of the HTTP API. Labels are bounded: route templates, the methods of HTTP, statuses."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from apollo_common.metrics import bounded_label

UNMATCHED = "unmatched"
REFUSALS = frozenset(
    {
        *("token_missing", "token_invalid", "authentication_unavailable"),
        *("role_missing", "not_owner", "foreign_host", "foreign_origin"),
    }
)
"""Reasons for which a caller is turned away: those of problem documents."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class ApiMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "apollo_http_requests",
            "HTTP requests answered, by route template.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "apollo_http_request_duration_seconds",
            "From a request's headers to its answer; streams are not counted.",
            ("method", "route"),
            registry=registry,
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60),
        )
        self._refusals = Counter(
            "apollo_http_refusals",
            "Requests of callers who may not make them, by reason.",
            ("reason",),
            registry=registry,
        )
        self._active = Gauge("apollo_http_requests_active", "HTTP requests under way.", registry=registry)

    def began(self) -> None:
        self._active.inc()

    def refused(self, reason: str) -> None:
        self._refusals.labels(bounded_label(reason, REFUSALS)).inc()

    def ended(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """`seconds` is None for a stream."""
        self._active.dec()
        method = bounded_label(method, _METHODS)
        self._requests.labels(method, route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(method, route).observe(seconds)
