"""What a worker counts for Prometheus. Built-in counters of attempts become series of their own name."""

import resource
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from apollo_common.metrics import DURATION_BUCKETS_SECONDS, bounded_label
from apollo_worker import __version__
from apollo_worker.ports import Counters
from apollo_worker.reporting import BUILT_IN_GROUP

_KINDS: Final = ("map", "reduce")
_OUTCOMES: Final = ("succeeded", "failed", "cancelled")
_COUNTED: Final = (
    *("input_records", "input_bytes", "map_output_records", "combine_output_records", "shuffle_bytes"),
    *("spilled_records", "reduce_input_groups", "output_records", "output_bytes"),
)


class WorkerMetrics:
    """Call `attempt_started` and `attempt_ended` around each attempt."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._attempts = Counter(
            "apollo_worker_attempts", "Attempts that ended here.", ["kind", "outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "apollo_worker_attempt_duration_seconds",
            "From an attempt's start to its end.",
            ["kind"],
            buckets=DURATION_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._busy = Gauge("apollo_worker_busy", "1 while an attempt runs.", registry=self.registry)
        self._processed = Counter(
            "apollo_worker_processed",
            "Records, groups and bytes of attempts that were done, by the name of their counter.",
            ["counter"],
            registry=self.registry,
        )
        peak = Gauge("apollo_worker_peak_memory_bytes", "Largest resident size so far.", registry=self.registry)
        peak.set_function(lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        Info("apollo_worker_build", "The worker's version.", registry=self.registry).info({"version": __version__})

    def attempt_started(self) -> None:
        self._busy.set(1)

    def attempt_ended(self, kind: str, outcome: str, seconds: float, counters: Counters) -> None:
        self._busy.set(0)
        kind = bounded_label(kind, _KINDS)
        self._attempts.labels(kind, bounded_label(outcome, _OUTCOMES)).inc()
        self._seconds.labels(kind).observe(seconds)
        for name in _COUNTED:
            self._processed.labels(name).inc(counters.get(BUILT_IN_GROUP, {}).get(name, 0))
