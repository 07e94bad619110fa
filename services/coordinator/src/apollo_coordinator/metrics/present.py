"""What is now: queue, tasks, attempts, workers, journal. Read at each scrape, in one walk over what has not ended."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from prometheus_client import CollectorRegistry

from apollo_common.metrics.families import AnyFamily, Label, LabelValues, ReadAtScrape, Reading, gauge
from apollo_coordinator.core.model import JobStatus, TaskKind, TaskStatus, Worker
from apollo_coordinator.core.state import JobQueue, State
from apollo_coordinator.metrics.attempts import phase_of
from apollo_coordinator.metrics.labels import PHASE
from apollo_coordinator.ports import Clock

_TRUE: Final = "true"
_FALSE: Final = "false"
_OPEN_JOB: Final = tuple(status.value for status in JobStatus if not status.ended)
_OPEN_TASK: Final = (TaskStatus.SCHEDULED.value, TaskStatus.IN_PROGRESS.value, TaskStatus.COMPLETED.value)
_WORKER: Final = ("idle", "busy", "draining", "quarantined")

READY: Final = gauge("apollo_ready", "1 while jobs are taken.")
JOBS: Final = gauge("apollo_jobs", "Jobs that have not ended.", {"status": Label(_OPEN_JOB)})
TROUBLED: Final = gauge("apollo_jobs_troubled", "Jobs that say why they wait.")
PROGRESS_AGE: Final = gauge(
    "apollo_job_progress_age_seconds",
    "The longest time for which a job that runs or commits has read no input and had nothing accepted; 0 without one.",
)
QUEUED_AGE: Final = gauge("apollo_oldest_queued_job_age_seconds", "How long a job has been queued; 0 without one.")
TASKS: Final = gauge(
    "apollo_tasks", "Tasks of planned jobs that have not ended.", {"phase": PHASE, "status": Label(_OPEN_TASK)}
)
TASKS_READY: Final = gauge(
    "apollo_tasks_ready", "Scheduled tasks that wait for nothing but a worker.", {"phase": PHASE}
)
RUNNING: Final = gauge(
    "apollo_attempts_running", "Attempts that run.", {"phase": PHASE, "speculative": Label((_TRUE, _FALSE))}
)
RUNNING_AGE: Final = gauge(
    "apollo_oldest_running_attempt_age_seconds", "How long an attempt has run; 0 without one.", {"phase": PHASE}
)
WORKERS: Final = gauge("apollo_workers", "Workers that are there.", {"state": Label(_WORKER)})
WANTED: Final = gauge("apollo_workers_wanted", "Workers that the pool was last asked for, for all jobs.")
JOURNAL_STALLED: Final = gauge("apollo_journal_stalled", "1 while the journal cannot be written.")
JOURNAL_APPEND_AGE: Final = gauge(
    "apollo_journal_append_age_seconds", "How long the write to the journal that is under way has taken; 0 without one."
)
JOURNAL_WAITING: Final = gauge("apollo_journal_waiting_facts", "Facts that are not in the journal yet.")

FAMILIES: Final[tuple[AnyFamily, ...]] = (
    *(READY, JOBS, TROUBLED, PROGRESS_AGE, QUEUED_AGE, TASKS, TASKS_READY, RUNNING, RUNNING_AGE),
    *(WORKERS, WANTED, JOURNAL_STALLED, JOURNAL_APPEND_AGE, JOURNAL_WAITING),
)


class Scheduling(Protocol):
    """What is looked at; the engine has it."""

    @property
    def ready(self) -> bool: ...

    @property
    def state(self) -> State: ...

    @property
    def journal_stalled(self) -> bool: ...

    @property
    def journal_append_age_seconds(self) -> float: ...

    @property
    def journal_waiting_facts(self) -> int: ...


def serve_present(registry: CollectorRegistry, scheduling: Scheduling, clock: Clock) -> None:
    def read() -> Iterator[Reading]:
        yield from _readings(_look(scheduling.state, clock.now_ms()))
        yield READY, {(): scheduling.ready}
        yield JOURNAL_STALLED, {(): scheduling.journal_stalled}
        yield JOURNAL_APPEND_AGE, {(): scheduling.journal_append_age_seconds}
        yield JOURNAL_WAITING, {(): scheduling.journal_waiting_facts}

    ReadAtScrape(FAMILIES, read).on(registry)


@dataclass(slots=True)
class _Present:
    jobs: Counter[LabelValues] = field(default_factory=Counter)
    tasks: Counter[LabelValues] = field(default_factory=Counter)
    ready: Counter[LabelValues] = field(default_factory=Counter)
    running: Counter[LabelValues] = field(default_factory=Counter)
    workers: Counter[LabelValues] = field(default_factory=Counter)
    running_age_ms: Counter[LabelValues] = field(default_factory=Counter)
    queued_age_ms: int = 0
    progress_age_ms: int = 0
    wanted: int = 0
    troubled: int = 0


def _look(state: State, now_ms: int) -> _Present:
    seen = _Present(troubled=len(state.troubled))
    delayed = _delayed(state)
    for queue in state.queues.values():
        job = queue.job
        seen.wanted += queue.scaled_workers
        if job.status.ended:
            continue
        seen.jobs[(job.status.value,)] += 1
        if job.status is JobStatus.QUEUED:
            seen.queued_age_ms = max(seen.queued_age_ms, now_ms - job.created_ms)
            continue
        seen.progress_age_ms = max(seen.progress_age_ms, now_ms - queue.advanced_ms)
        _look_at_tasks(seen, queue, delayed, now_ms)
    for worker in state.workers.values():
        seen.workers[(_state_of(worker),)] += 1
    return seen


def _look_at_tasks(seen: _Present, queue: JobQueue, delayed: Counter[tuple[str, TaskKind]], now_ms: int) -> None:
    in_progress = {kind: set[int]() for kind in TaskKind}
    for task, attempt in queue.running.values():
        phase = phase_of(task.kind)
        seen.running[phase, _TRUE if attempt.speculative else _FALSE] += 1
        if not in_progress[task.kind]:  # the first is the oldest
            seen.running_age_ms[(phase,)] = max(seen.running_age_ms[(phase,)], now_ms - attempt.started_ms)
        in_progress[task.kind].add(task.index)
    held_back = queue.paused or (queue.cautious and queue.probe is not None)
    for kind, completed, wait in (
        (TaskKind.SAMPLE, queue.accepted_samplers, False),
        (TaskKind.MAP, queue.accepted_maps, queue.sampling),
        (TaskKind.REDUCE, queue.accepted_reduces, not queue.maps_done),
    ):
        phase, begun = phase_of(kind), len(in_progress[kind])
        scheduled = len(queue.job.tasks_of(kind)) - completed - begun
        for status, count in zip(_OPEN_TASK, (scheduled, begun, completed), strict=True):
            seen.tasks[phase, status] += count
        if not wait and not held_back:
            seen.ready[(phase,)] += scheduled - delayed[queue.job.id, kind]


def _delayed(state: State) -> Counter[tuple[str, TaskKind]]:
    """By job and kind: tasks whose next attempt has to wait for a time."""
    return Counter(
        (timer.job, timer.task.kind)
        for timer in state.timers
        if timer.task is not None and timer.task.status is TaskStatus.SCHEDULED
    )


def _state_of(worker: Worker) -> str:
    if worker.draining:
        return "draining"
    if worker.quarantined:
        return "quarantined"
    return "idle" if worker.attempt is None else "busy"


def _readings(seen: _Present) -> Iterator[Reading]:
    phases = [(phase,) for phase in PHASE.values]
    yield JOBS, {(status,): seen.jobs[(status,)] for status in _OPEN_JOB}
    yield TROUBLED, {(): seen.troubled}
    yield PROGRESS_AGE, {(): seen.progress_age_ms / 1000}
    yield QUEUED_AGE, {(): seen.queued_age_ms / 1000}
    yield TASKS, {(*phase, status): seen.tasks[*phase, status] for phase in phases for status in _OPEN_TASK}
    yield TASKS_READY, {phase: seen.ready[phase] for phase in phases}
    yield RUNNING, {(*phase, backup): seen.running[*phase, backup] for phase in phases for backup in (_TRUE, _FALSE)}
    yield RUNNING_AGE, {phase: seen.running_age_ms[phase] / 1000 for phase in phases}
    yield WORKERS, {(state,): seen.workers[(state,)] for state in _WORKER}
    yield WANTED, {(): seen.wanted}
