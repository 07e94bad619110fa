"""Jobs: how many, how long they waited and ran, why they failed, and how uneven their tasks were."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from prometheus_client import CollectorRegistry

from apollo_common.metrics.families import AnyFamily, Label, counter, histogram
from apollo_coordinator.core import facts
from apollo_coordinator.core.model import JobStatus, Task
from apollo_coordinator.core.state import State
from apollo_coordinator.metrics.attempts import input_bytes
from apollo_coordinator.metrics.labels import ENDED_JOB, MAP, PHASE, REASON, REDUCE

SKEW_BUCKETS: Final = (1.25, 1.5, 2, 3, 5, 10, 20, 50, 100)

SUBMITTED: Final = counter("apollo_jobs_submitted_total", "Jobs that were taken.")
ENDED: Final = counter("apollo_jobs_ended_total", "Jobs that ended.", {"status": ENDED_JOB})
FAILURES: Final = counter("apollo_job_failures_total", "Jobs that failed, by reason code.", {"reason": REASON})
QUEUE_SECONDS: Final = histogram("apollo_job_queue_duration_seconds", "From when a job was taken to its start.")
SECONDS: Final = histogram(
    "apollo_job_duration_seconds", "From when a job was taken to its end.", {"status": ENDED_JOB}
)
SKEW: Final = histogram(
    "apollo_phase_skew_ratio",
    "Of the tasks of one phase of a job that succeeded, two or more: the largest over the median.",
    {"phase": PHASE, "measure": Label(("duration", "input_bytes"))},
    buckets=SKEW_BUCKETS,
)

FAMILIES: Final[tuple[AnyFamily, ...]] = (SUBMITTED, ENDED, FAILURES, QUEUE_SECONDS, SECONDS, SKEW)


class JobMetrics:
    """Told of facts once they are applied."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._submitted = SUBMITTED.on(registry).of()
        self._ended = ENDED.on(registry)
        self._failures = FAILURES.on(registry)
        self._queue_seconds = QUEUE_SECONDS.on(registry).of()
        self._seconds = SECONDS.on(registry)
        self._skew = SKEW.on(registry)

    def submitted(self) -> None:
        self._submitted.inc()

    def started(self, fact: facts.JobStarted, state: State) -> None:
        self._queue_seconds.observe(max(0, fact.at_ms - state.jobs[fact.job].created_ms) / 1000)

    def ended(self, fact: facts.JobEnded, state: State) -> None:
        job = state.jobs[fact.job]
        self._ended.of(fact.status.value).inc()
        self._seconds.of(fact.status.value).observe(max(0, fact.at_ms - job.created_ms) / 1000)
        if fact.failure is not None:
            self._failures.of(fact.failure.reason).inc()
        if fact.status is JobStatus.SUCCEEDED:
            for phase, tasks in ((MAP, job.maps), (REDUCE, job.reduces)):
                self._observe_skew(phase, tasks)

    def _observe_skew(self, phase: str, tasks: Sequence[Task]) -> None:
        accepted = [(task, attempt) for task in tasks for attempt in task.attempts if attempt.id == task.accepted]
        durations = [(attempt.ended_ms or 0) - attempt.started_ms for _, attempt in accepted]
        sizes = [input_bytes(task, attempt) for task, attempt in accepted]
        for measure, values in (("duration", durations), ("input_bytes", sizes)):
            if len(values) > 1 and (usual := median(values)) > 0:
                self._skew.of(phase, measure).observe(max(values) / usual)
