"""The EngineObserver that counts: events, the journal, and what facts say of jobs, attempts and workers."""

from collections.abc import Callable, Sequence
from typing import Any, Final, get_args

from prometheus_client import CollectorRegistry

from apollo_common.metrics.families import CALL_BUCKETS_SECONDS, AnyFamily, Label, counter, histogram
from apollo_coordinator.core import events, facts
from apollo_coordinator.core.model import Departure
from apollo_coordinator.core.state import State
from apollo_coordinator.metrics import attempts, jobs

EVENTS: Final = counter(
    "apollo_scheduler_events_total",
    "Events that the scheduling core has handled.",
    {
        "event": Label(
            tuple(sorted(kind.__name__ for kind in get_args(events.Event))),
            words="what happened, a class of `core/events.py`",
        )
    },
)
JOURNAL_FACTS: Final = counter("apollo_journal_facts_total", "Facts written to the journal.")
JOURNAL_SECONDS: Final = histogram(
    "apollo_journal_append_duration_seconds",
    "One write to the journal, of one fact or many, until it is on the disk.",
    buckets=CALL_BUCKETS_SECONDS,
)
JOURNAL_FAILURES: Final = counter("apollo_journal_append_failures_total", "Writes to the journal that failed.")
JOINED: Final = counter(
    "apollo_workers_joined_total",
    "Workers that came; those that come back after a restart of the coordinator come anew.",
)
LEFT: Final = counter(
    "apollo_workers_left_total",
    "Workers that went: released (idle, or told to end), gone or out of memory as the pool saw, or not reachable.",
    {"cause": Label(tuple(Departure))},
)
QUARANTINED: Final = counter(
    "apollo_workers_quarantined_total", "Workers that failed or lost one attempt after the other, and got no more."
)

FAMILIES: Final[tuple[AnyFamily, ...]] = (
    *jobs.FAMILIES,
    *attempts.FAMILIES,
    *(JOINED, LEFT, QUARANTINED, EVENTS, JOURNAL_FACTS, JOURNAL_SECONDS, JOURNAL_FAILURES),
)


class EngineMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = jobs.JobMetrics(registry)
        self._attempts = attempts.AttemptMetrics(registry)
        counted = EVENTS.on(registry)
        self._events = {kind: counted.of(kind.__name__) for kind in get_args(events.Event)}
        self._journal_facts = JOURNAL_FACTS.on(registry).of()
        self._journal_seconds = JOURNAL_SECONDS.on(registry).of()
        self._journal_failures = JOURNAL_FAILURES.on(registry).of()
        self._joined = JOINED.on(registry).of()
        self._left = LEFT.on(registry)
        self._quarantined = QUARANTINED.on(registry).of()
        self._notes: dict[type, Callable[[Any, State], None]] = {
            facts.JobStarted: self._jobs.started,
            facts.JobEnded: self._job_ended,
            facts.AttemptStarted: self._attempts.started,
            facts.AttemptAccepted: self._attempts.accepted,
            facts.AttemptFailed: self._attempts.failed,
            facts.AttemptLost: self._attempts.lost,
            facts.AttemptCancelled: self._attempts.cancelled,
            facts.MapOutputLost: self._attempts.map_output_lost,
            facts.WorkerAdded: lambda _fact, _state: self._joined.inc(),
            facts.WorkerRemoved: lambda fact, _state: self._left.of(fact.cause).inc(),
            facts.WorkerSuspected: self._worker_suspected,
        }

    def submitted(self) -> None:
        self._events[events.JobSubmitted].inc()
        self._jobs.submitted()

    def handled(self, event: events.Event, outcome: Sequence[facts.Fact], state: State) -> None:
        self._events[type(event)].inc()
        for fact in outcome:
            note = self._notes.get(type(fact))
            if note is not None:
                note(fact, state)

    def appended(self, count: int, seconds: float) -> None:
        self._journal_facts.inc(count)
        self._journal_seconds.observe(seconds)

    def append_failed(self) -> None:
        self._journal_failures.inc()

    def _job_ended(self, fact: facts.JobEnded, state: State) -> None:
        self._jobs.ended(fact, state)
        self._attempts.job_ended(fact, state)

    def _worker_suspected(self, fact: facts.WorkerSuspected, _state: State) -> None:
        if fact.quarantined:
            self._quarantined.inc()
