"""The traffic with workers, counted. A LinkObserver."""

from typing import Final

from prometheus_client import CollectorRegistry

from apollo_common.calls import CANCELLED, OK
from apollo_common.errors import ObjectNotFound, WorkerBusy, WorkerDrained, WorkerUnreachable
from apollo_common.metrics.families import CALL_BUCKETS_SECONDS, AnyFamily, Label, counter, gauge, histogram
from apollo_coordinator.rpc.observer import OPEN, OPENING

_METHOD: Final = Label(("describe", "put_artifact", "cancel_task", "renew_access"))
_RESULT: Final = Label(
    (
        OK,
        CANCELLED,
        *(error.reason for error in (WorkerBusy, WorkerDrained, WorkerUnreachable, ObjectNotFound)),
    ),
    at_once=False,
    more=True,
)

CALLS: Final = counter(
    "apollo_grpc_calls_total",
    "Calls of workers that have one answer, by result: ok, or the reason code of the error.",
    {"method": _METHOD, "result": _RESULT},
)
SECONDS: Final = histogram(
    "apollo_grpc_call_duration_seconds",
    "From such a call to its answer.",
    {"method": _METHOD},
    buckets=CALL_BUCKETS_SECONDS,
)
STREAMS: Final = gauge(
    "apollo_grpc_streams",
    "Event streams of attempts: opening until the first event has come, also after a break.",
    {"state": Label((OPENING, OPEN))},
)
BREAKS: Final = counter(
    "apollo_grpc_stream_breaks_total", "Streams that broke before their attempt had ended; a refusal is an answer."
)

FAMILIES: Final[tuple[AnyFamily, ...]] = (STREAMS, BREAKS, CALLS, SECONDS)


class LinkMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = CALLS.on(registry)
        self._seconds = SECONDS.on(registry)
        self._streams = STREAMS.on(registry)
        self._breaks = BREAKS.on(registry).of()

    def call_ended(self, method: str, result: str, seconds: float) -> None:
        self._calls.of(method, result).inc()
        self._seconds.of(method).observe(seconds)

    def stream_changed(self, before: str, after: str) -> None:
        if before:
            self._streams.of(before).dec()
        if after:
            self._streams.of(after).inc()

    def stream_broke(self) -> None:
        self._breaks.inc()
