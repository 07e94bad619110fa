"""Attempts: how many, how long, how they ended, what they moved, and how evenly."""

from typing import Final

from prometheus_client import CollectorRegistry

from apollo_common.assignment import Counters
from apollo_common.errors import FetchFailed
from apollo_common.metrics.families import DURATION_BUCKETS_SECONDS, AnyFamily, Label, counter, histogram
from apollo_common.timings import Step
from apollo_coordinator.core import facts
from apollo_coordinator.core.model import Attempt, AttemptStatus, Job, Task, TaskKind, TaskStatus
from apollo_coordinator.core.state import State, locate, ready_since_ms, size_bytes
from apollo_coordinator.metrics.labels import ENDED_ATTEMPT, MAP, PHASE, REASON, REDUCE

SIZE_BUCKETS_BYTES: Final = tuple(1 << exponent for exponent in range(16, 37, 2))  # 64 KiB to 64 GiB

STARTED: Final = counter("apollo_attempts_started_total", "Attempts that were started, backups too.", {"phase": PHASE})
ENDED: Final = counter(
    "apollo_attempts_total", "Attempts that ended, by outcome.", {"phase": PHASE, "outcome": ENDED_ATTEMPT}
)
SECONDS: Final = histogram(
    "apollo_attempt_duration_seconds",
    "From an attempt's start by the coordinator to its end.",
    {"phase": PHASE, "outcome": ENDED_ATTEMPT},
)
SETBACKS: Final = counter(
    "apollo_attempt_setbacks_total",
    "Attempts that failed or were lost, by reason code.",
    {
        "phase": PHASE,
        "outcome": Label((AttemptStatus.FAILED.value, AttemptStatus.LOST.value)),
        "reason": REASON,
    },
)
LATENCY: Final = histogram(
    "apollo_scheduling_latency_seconds",
    "From when a task waited for nothing but a worker to the start of its attempt; without backups.",
    {"phase": PHASE},
    buckets=(0.005, 0.01, 0.025, 0.05, *DURATION_BUCKETS_SECONDS),
)
INPUT: Final = histogram(
    "apollo_attempt_input_bytes",
    "Input of an accepted attempt: of a map its split, of a reduce its share of the map outputs.",
    {"phase": PHASE},
    buckets=SIZE_BUCKETS_BYTES,
)
BACKUPS: Final = counter("apollo_speculative_attempts_total", "Backup attempts that were started.", {"phase": PHASE})
BACKUPS_WON: Final = counter(
    "apollo_speculative_attempts_won_total", "Backup attempts that were done first.", {"phase": PHASE}
)
FETCH_FAILURES: Final = counter(
    "apollo_fetch_failures_total", "Reduce attempts that could not read an accepted map output."
)
OUTPUTS_LOST: Final = counter(
    "apollo_map_outputs_lost_total", "Accepted map outputs that were given up, so that the map was run again."
)
STEP_SECONDS: Final = counter(
    "apollo_attempt_step_seconds_total",
    "Time of accepted attempts by the step that held them up; several at once share it. program: waiting for nothing "
    "but it.",
    {"phase": PHASE, "step": Label(tuple(Step))},
)
COUNTED: Final = {
    "input_records": counter("apollo_input_records_total", "Records that accepted map attempts read."),
    "bad_records": counter("apollo_bad_records_total", "Records that accepted map attempts skipped, and quarantined."),
    "bisection_runs": counter(
        "apollo_bisection_runs_total", "Runs of mappers to find bad records, in accepted attempts."
    ),
    "input_bytes": counter("apollo_input_bytes_total", "Bytes of input that accepted map attempts read."),
    "map_output_records": counter(
        "apollo_map_output_records_total", "Pairs that mappers emitted, in accepted attempts."
    ),
    "combine_output_records": counter(
        "apollo_combine_output_records_total", "Pairs that combiners emitted, in accepted attempts."
    ),
    "shuffle_bytes": counter(
        "apollo_shuffle_bytes_total", "Bytes of accepted map outputs; one that was lost and made again counts again."
    ),
    "spilled_records": counter(
        "apollo_spilled_records_total", "Pairs that accepted map attempts wrote to sorted runs."
    ),
    "reduce_input_groups": counter(
        "apollo_reduce_input_groups_total", "Different keys that reducers got, in accepted attempts."
    ),
    "output_records": counter("apollo_output_records_total", "Records in the accepted parts of outputs."),
    "output_bytes": counter("apollo_output_bytes_total", "Bytes in the accepted parts of outputs."),
}
"""By built-in counter. Of accepted attempts, when they are accepted; a map that is run again counts again."""

FAMILIES: Final[tuple[AnyFamily, ...]] = (
    *(STARTED, ENDED, SECONDS, SETBACKS, LATENCY, INPUT, BACKUPS, BACKUPS_WON, FETCH_FAILURES, OUTPUTS_LOST),
    STEP_SECONDS,
    *COUNTED.values(),
)


class AttemptMetrics:
    """Told of facts once they are applied."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._started = STARTED.on(registry)
        self._ended = ENDED.on(registry)
        self._seconds = SECONDS.on(registry)
        self._setbacks = SETBACKS.on(registry)
        self._latency = LATENCY.on(registry)
        self._input = INPUT.on(registry)
        self._backups = BACKUPS.on(registry)
        self._backups_won = BACKUPS_WON.on(registry)
        self._fetch_failures = FETCH_FAILURES.on(registry).of()
        self._outputs_lost = OUTPUTS_LOST.on(registry).of()
        self._step_seconds = STEP_SECONDS.on(registry)
        self._counted = {name: family.on(registry).of() for name, family in COUNTED.items()}

    def started(self, fact: facts.AttemptStarted, state: State) -> None:
        task, _ = _found(state, fact)
        phase = phase_of(task.kind)
        self._started.of(phase).inc()
        if fact.speculative:
            self._backups.of(phase).inc()
        else:
            waited_ms = fact.at_ms - ready_since_ms(state.queues[fact.job], task)
            self._latency.of(phase).observe(max(0, waited_ms) / 1000)

    def accepted(self, fact: facts.AttemptAccepted, state: State) -> None:
        task, attempt = _found(state, fact)
        self._end(task, attempt, AttemptStatus.SUCCEEDED, fact.at_ms)
        self._input.of(phase_of(task.kind)).observe(input_bytes(task, attempt))
        if attempt.speculative:
            self._backups_won.of(phase_of(task.kind)).inc()
        self._count(fact.counters)
        for step, spent_ms in fact.timings.by_step().items():
            self._step_seconds.of(phase_of(task.kind), step).inc(spent_ms / 1000)

    def failed(self, fact: facts.AttemptFailed, state: State) -> None:
        self._set_back(fact, AttemptStatus.FAILED, state)

    def lost(self, fact: facts.AttemptLost, state: State) -> None:
        self._set_back(fact, AttemptStatus.LOST, state)
        if fact.failure.reason == FetchFailed.reason:
            self._fetch_failures.inc()

    def cancelled(self, fact: facts.AttemptCancelled, state: State) -> None:
        self._end(*_found(state, fact), AttemptStatus.CANCELLED, fact.at_ms)

    def map_output_lost(self, _fact: facts.MapOutputLost, _state: State) -> None:
        self._outputs_lost.inc()

    def job_ended(self, fact: facts.JobEnded, state: State) -> None:
        """The end of a job cancels what runs of it, without a fact for each attempt."""
        job = state.jobs[fact.job]
        for task in job.tasks:
            if task.status is TaskStatus.COMPLETED:
                continue
            for attempt in task.attempts:
                if attempt.status is AttemptStatus.CANCELLED and attempt.ended_ms == fact.at_ms:
                    self._end(task, attempt, AttemptStatus.CANCELLED, fact.at_ms)

    def _set_back(self, fact: facts.AttemptFailed | facts.AttemptLost, status: AttemptStatus, state: State) -> None:
        task, attempt = _found(state, fact)
        self._end(task, attempt, status, fact.at_ms)
        self._setbacks.of(phase_of(task.kind), status.value, fact.failure.reason).inc()

    def _end(self, task: Task, attempt: Attempt, status: AttemptStatus, at_ms: int) -> None:
        phase = phase_of(task.kind)
        self._ended.of(phase, status.value).inc()
        self._seconds.of(phase, status.value).observe(max(0, at_ms - attempt.started_ms) / 1000)

    def _count(self, counters: Counters) -> None:
        for name, value in counters.get("apollo", {}).items():
            counted = self._counted.get(name)
            if counted is not None:
                counted.inc(value)


def phase_of(kind: TaskKind) -> str:
    """Samplers run the mapper, and count as maps."""
    return REDUCE if kind is TaskKind.REDUCE else MAP


def input_bytes(task: Task, attempt: Attempt) -> int:
    """0 while unknown."""
    return size_bytes(task, attempt) or attempt.input_bytes


def _found(state: State, fact: "_AttemptFact") -> tuple[Task, Attempt]:
    place = locate(fact.attempt)
    job: Job = state.jobs[place.job]
    task = job.tasks_of(place.kind)[place.task_index]
    return task, task.attempts[place.attempt_number]


_AttemptFact = (
    facts.AttemptStarted | facts.AttemptAccepted | facts.AttemptFailed | facts.AttemptLost | facts.AttemptCancelled
)
