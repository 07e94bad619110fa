"""What the engine tells Prometheus. Labels have few values; never an id of a job, task or worker."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from apollo_coordinator.core import events, facts
from apollo_coordinator.core.state import State, locate


class EngineMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "apollo_scheduler_events", "Events that the scheduling core has handled.", ("event",), registry=registry
        )
        self._facts = Counter("apollo_journal_facts", "Facts written to the journal.", registry=registry)
        self._jobs_ended = Counter("apollo_jobs_ended", "Jobs that have ended.", ("status",), registry=registry)
        self._attempts = Counter(
            "apollo_attempts", "Attempts that began or ended.", ("phase", "outcome"), registry=registry
        )
        self._workers = Gauge("apollo_workers", "Workers that are there.", registry=registry)
        self._quarantined = Counter(
            "apollo_workers_quarantined", "Workers that failed or lost one attempt after the other.", registry=registry
        )
        self._backups = Counter(
            "apollo_speculative_attempts", "Backup attempts that were started.", ("phase",), registry=registry
        )
        self._unfinished = Gauge("apollo_jobs_unfinished", "Jobs that wait, run or commit.", registry=registry)
        self._running = Gauge("apollo_jobs_running", "Jobs that run or commit.", registry=registry)
        self._stalled = Gauge("apollo_journal_stalled", "1 while the journal cannot be written.", registry=registry)

    def handled(self, event: events.Event, state: State) -> None:
        self._events.labels(type(event).__name__).inc()
        self._workers.set(len(state.workers))
        self._unfinished.set(state.unfinished_jobs)
        self._running.set(state.running_jobs)

    def quarantined(self) -> None:
        self._quarantined.inc()

    def recorded(self, fact: facts.DurableFact) -> None:
        self._facts.inc()
        if isinstance(fact, facts.JobEnded):
            self._jobs_ended.labels(fact.status.value).inc()
            return
        if isinstance(fact, facts.AttemptStarted) and fact.speculative:
            self._backups.labels("map" if locate(fact.attempt).is_map else "reduce").inc()
        outcome = _OUTCOMES.get(type(fact))
        if outcome is not None and isinstance(fact, _ATTEMPT_FACTS):
            self._attempts.labels("map" if locate(fact.attempt).is_map else "reduce", outcome).inc()

    def stalled(self, stalled: bool) -> None:  # noqa: FBT001 - a setter
        self._stalled.set(stalled)


_ATTEMPT_FACTS = (
    facts.AttemptStarted,
    facts.AttemptAccepted,
    facts.AttemptFailed,
    facts.AttemptLost,
    facts.AttemptCancelled,
)
_OUTCOMES = dict(zip(_ATTEMPT_FACTS, ("started", "succeeded", "failed", "lost", "cancelled"), strict=True))
