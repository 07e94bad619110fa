"""What a worker tells Prometheus. Live: what has to be exact over many short-lived workers, the coordinator counts."""

import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from apollo_common.lifecycle import TaskOwner
from apollo_common.metrics import disks, process, storage
from apollo_common.metrics.disks import DiskMetrics
from apollo_common.metrics.families import AnyFamily, Label, ReadAtScrape, Reading, counter, gauge, histogram
from apollo_common.metrics.process import ProcessMetrics
from apollo_common.metrics.storage import StorageMetrics
from apollo_common.timings import Step
from apollo_worker import __version__
from apollo_worker.cache import ArtifactCache
from apollo_worker.observer import SHUFFLE_READ_BYTES, SPILLS, Observers
from apollo_worker.rpc.service import WorkerService
from apollo_worker.slot import AttemptSlot

_PHASE: Final = Label(("map", "reduce"), at_once=("map", "reduce"), more=True)

BUSY: Final = gauge("apollo_worker_busy", "1 while an attempt runs.")
DRAINING: Final = gauge("apollo_worker_draining", "1 while no attempt is taken any more.")
STREAMS: Final = gauge(
    "apollo_worker_streams", "Event streams that are followed now; none while busy: the coordinator is cut off."
)
CACHE: Final = gauge("apollo_worker_artifact_cache_bytes", "Artifacts that are installed.")
MEMORY_LIMIT: Final = gauge("apollo_worker_memory_limit_bytes", "What the worker and its programs may use.")
PEAK_MEMORY: Final = gauge(
    "apollo_worker_peak_memory_bytes", "Largest resident size of the worker's process so far, without its programs."
)
_PRESENT: Final = (BUSY, DRAINING, STREAMS, CACHE, MEMORY_LIMIT, PEAK_MEMORY)

ATTEMPTS: Final = counter(
    "apollo_worker_attempts_total",
    "Attempts that ended here, by outcome.",
    {"phase": _PHASE, "outcome": Label(("succeeded", "failed", "cancelled"))},
)
SECONDS: Final = histogram(
    "apollo_worker_attempt_duration_seconds", "From an attempt's start on the worker to its end.", {"phase": _PHASE}
)
STEP_SECONDS: Final = counter(
    "apollo_worker_attempt_step_seconds_total",
    "Time of attempts by the step that held them up; several at once share it. program: waiting for nothing but it.",
    {"phase": _PHASE, "step": Label(tuple(Step))},
)
COUNTED: Final = {
    "input_records": counter("apollo_worker_input_records_total", "Records that map attempts read."),
    "input_bytes": counter("apollo_worker_input_bytes_total", "Bytes of input that map attempts read."),
    "map_output_records": counter("apollo_worker_map_output_records_total", "Pairs that mappers emitted."),
    "combine_output_records": counter("apollo_worker_combine_output_records_total", "Pairs that combiners emitted."),
    "shuffle_bytes": counter(
        "apollo_worker_shuffle_bytes_total", "Bytes of map outputs, for reduces to read; told when one is complete."
    ),
    SHUFFLE_READ_BYTES: counter(
        "apollo_worker_shuffle_read_bytes_total", "Bytes of map outputs that reduce attempts read."
    ),
    "spilled_records": counter("apollo_worker_spilled_records_total", "Pairs that were written to sorted runs."),
    SPILLS: counter("apollo_worker_spills_total", "Sorted runs that were written."),
    "reduce_input_groups": counter("apollo_worker_reduce_input_groups_total", "Different keys that reducers got."),
    "output_records": counter(
        "apollo_worker_output_records_total", "Records written to parts of outputs; told when one is complete."
    ),
    "output_bytes": counter(
        "apollo_worker_output_bytes_total", "Bytes written to parts of outputs; told when one is complete."
    ),
}
"""As it happens, of all attempts, also of those that do not succeed."""

FAMILIES: Final[tuple[AnyFamily, ...]] = (*_PRESENT, ATTEMPTS, SECONDS, STEP_SECONDS, *COUNTED.values())
SHARED: Final[tuple[AnyFamily, ...]] = (*disks.FAMILIES, *storage.FAMILIES, *process.FAMILIES)
"""Served by the coordinator, too."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What the metrics look at."""

    slot: AttemptSlot
    service: WorkerService
    cache: ArtifactCache
    memory_limit_bytes: int


class WorkerMetrics:
    """A WorkObserver, and the registry that it counts into."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._process = ProcessMetrics(self.registry, service="worker", version=__version__)
        self._attempts = ATTEMPTS.on(self.registry)
        self._seconds = SECONDS.on(self.registry)
        self._step_seconds = STEP_SECONDS.on(self.registry)
        self._counted = {name: family.on(self.registry).of() for name, family in COUNTED.items()}
        self.observers = Observers(self, StorageMetrics(self.registry))

    def attempt_ended(self, phase: str, outcome: str, seconds: float) -> None:
        self._attempts.of(phase, outcome).inc()
        self._seconds.of(phase).observe(seconds)

    def spent(self, phase: str, step: Step, seconds: float) -> None:
        self._step_seconds.of(phase, step).inc(seconds)

    def counted(self, name: str, increment: int) -> None:
        counted = self._counted.get(name)
        if counted is not None:
            counted.inc(increment)

    def watch(self, tasks: TaskOwner, watched: Watched, volumes: Mapping[str, Path]) -> None:
        """`volumes`: directories by what they hold."""
        ReadAtScrape(_PRESENT, lambda: _present(watched)).on(self.registry)
        sampled = DiskMetrics(self.registry, tasks)
        for name, path in volumes.items():
            sampled.watch_volume(name, path)
        tasks.spawn(self._process.measure_until_cancelled(), name="event loop lag")


def _present(watched: Watched) -> Iterator[Reading]:
    yield BUSY, {(): bool(watched.slot.running)}
    yield DRAINING, {(): watched.slot.draining}
    yield STREAMS, {(): watched.service.streams}
    yield CACHE, {(): watched.cache.size_bytes}
    yield MEMORY_LIMIT, {(): watched.memory_limit_bytes}
    yield PEAK_MEMORY, {(): resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
