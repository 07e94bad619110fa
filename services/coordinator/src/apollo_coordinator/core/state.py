"""The whole scheduling state: the model plus the indexes that keep the cost of an event flat.

Only `apply` changes it. Dictionaries serve as ordered sets, so that the same events give the same decisions.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from apollo_common.errors import StorageUnavailable, UploadLost, VolumeFull, WorkerBusy, WorkerDrained
from apollo_common.ids import AttemptId, JobId, TaskId, WorkerId, job_of
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import Attempt, AttemptStatus, Job, Task, TaskKind, Worker

EXCUSED_REASONS = frozenset(error.reason for error in (StorageUnavailable, UploadLost, VolumeFull, WorkerBusy))
"""Failures that say nothing about the program or its input: they count as lost attempts do."""

MAX_PRIORITY_STEPS = 10

MAX_RECORDS = 10_000
"""Of workers that went badly: the oldest are forgotten."""

KINDS = {"s": TaskKind.SAMPLE, "m": TaskKind.MAP, "r": TaskKind.REDUCE}
"""By the letter in a task's id."""

MAX_SAMPLES = 64
"""Of each phase of a job: enough for a median."""


class Place(NamedTuple):
    """Where an attempt stands in the model."""

    job: JobId
    kind: TaskKind
    task_index: int
    attempt_number: int


class Running(NamedTuple):
    """An attempt that runs, with its task."""

    task: Task
    attempt: Attempt


class Sample(NamedTuple):
    """How an accepted attempt went."""

    size_bytes: int  # of its input; 0: not known
    duration_ms: int


class Listing(NamedTuple):
    """A job that may start an attempt, in the order of who is next: among equals, who has waited longest for a turn."""

    share: float
    turn: int
    number: int  # of the job
    job: JobId


@dataclass(slots=True)
class Record:
    """What is held against a worker since its last success; it outlives a lost connection."""

    losses: int = 0  # in a row
    quarantined_until_ms: int = 0


class Timer(NamedTuple):
    """Something put off. `task` is ready again, or the job's pause is over."""

    due_ms: int
    number: int  # breaks ties in order of creation
    job: JobId
    task: Task | None


@dataclass(slots=True)
class JobQueue:
    """What the scheduler keeps of a job until it is cleaned up."""

    job: Job
    number: int  # of creation
    weight: float = 1.0  # of its running attempts in fair sharing: each step of priority doubles what is fair
    worker_cap: int = 1
    pending_samplers: list[int] = field(default_factory=list)  # heaps of task indices; stale entries are never on top
    pending_maps: list[int] = field(default_factory=list)
    pending_reduces: list[int] = field(default_factory=list)
    running: dict[AttemptId, Running] = field(default_factory=dict)
    outstanding: dict[AttemptId, WorkerId] = field(default_factory=dict)  # of which the outside world may still speak
    reduces_ready_ms: int = 0  # when the last map output came
    advanced_ms: int = 0  # when the job last came nearer to its end, as far as this coordinator has seen
    map_outputs_version: int = 0  # rises whenever the set of accepted map outputs changes
    paused_until_ms: int = 0
    paused: bool = False  # a volume is full
    pauses: int = 0  # in a row
    held_until_ms: int = 0  # when a full volume last ceased to hold tasks back
    cautious_until_ms: int = 0
    cautious: bool = False  # after a pause one attempt is tried alone, until it is done or has run for a while
    probe: AttemptId | None = None  # that one
    task_timers: int = 0  # of tasks whose next attempt has to wait for a time
    running_backups: int = 0  # speculative attempts among `running`
    samples: dict[TaskKind, deque[Sample]] = field(
        default_factory=lambda: {kind: deque(maxlen=MAX_SAMPLES) for kind in TaskKind}
    )  # of the last accepted attempts
    sought_ms: int = 0  # when stragglers were last looked for
    scaled_workers: int = 0  # what the pool was last asked for
    failed_workers: dict[str, dict[str, None]] = field(default_factory=dict)  # by group of failures, a bounded number
    cleaning: bool = False
    turn: int = 0  # number of the last attempt that it started, among all jobs'
    listed: Listing | None = None  # its entry in `State.ready`; all others of it there are stale

    @property
    def sampling(self) -> bool:
        """Whether maps wait for splitters."""
        return bool(self.job.samplers) and self.job.splitters is None

    @property
    def accepted_samplers(self) -> int:
        return self.job.sampler_tally.completed

    @property
    def accepted_maps(self) -> int:
        return self.job.map_tally.completed

    @property
    def accepted_reduces(self) -> int:
        return self.job.reduce_tally.completed

    @property
    def samplers_done(self) -> bool:
        return self.accepted_samplers == len(self.job.samplers)

    @property
    def maps_done(self) -> bool:
        return self.job.planned and self.accepted_maps == len(self.job.maps)

    @property
    def all_done(self) -> bool:
        return self.maps_done and self.accepted_reduces == len(self.job.reduces)

    @property
    def phase(self) -> TaskKind:
        """What the job does now: maps wait for splitters, reduces until every map is accepted."""
        if self.sampling:
            return TaskKind.SAMPLE
        return TaskKind.REDUCE if self.maps_done else TaskKind.MAP

    @property
    def share(self) -> float:
        """Running attempts, weighted."""
        return len(self.running) / self.weight

    def pending(self) -> list[int]:
        """The heap that the next task comes from: maps first, reduces once every map is accepted."""
        if self.sampling:
            return self.pending_samplers
        if self.pending_maps or not self.maps_done:
            return self.pending_maps
        return self.pending_reduces

    def pending_tasks(self) -> list[Task]:
        """What the indices in `pending()` count in."""
        if self.sampling:
            return self.job.samplers
        return self.job.maps if self.pending_maps or not self.maps_done else self.job.reduces

    @property
    def may_start(self) -> bool:
        """Whether a worker would be of use now."""
        held_back = self.paused or (self.cautious and self.probe is not None)
        return not held_back and bool(self.pending()) and len(self.running) < self.worker_cap


@dataclass(slots=True)
class State:
    limits: Limits = field(default_factory=Limits)
    jobs: dict[JobId, Job] = field(default_factory=dict)  # in order of creation
    queues: dict[JobId, JobQueue] = field(default_factory=dict)  # jobs that are not cleaned up yet
    workers: dict[WorkerId, Worker] = field(default_factory=dict)
    outputs: dict[str, JobId] = field(default_factory=dict)  # reserved by jobs until they are cleaned up
    idempotency: dict[str, JobId] = field(default_factory=dict)
    artifact_uses: dict[str, dict[JobId, None]] = field(default_factory=dict)  # by digest: who refers to it
    queued: dict[JobId, None] = field(default_factory=dict)
    unfinished_jobs: int = 0
    running_jobs: int = 0
    running_tasks: int = 0  # planned tasks of running jobs
    jobs_created: int = 0
    ended: list[tuple[int, JobId]] = field(default_factory=list)  # heap by ended_ms of the jobs that may be forgotten
    redriven: dict[JobId, int] = field(default_factory=dict)  # how many redrives of a job there are that need it yet
    at_hand: dict[JobId, int] = field(
        default_factory=dict
    )  # archived jobs with tasks in `jobs`: how many, oldest first
    tasks_at_hand: int = 0  # their sum

    # By binding: a job's own workers, or None for those that serve any.
    idle: dict[JobId | None, dict[WorkerId, None]] = field(default_factory=dict)
    worker_counts: dict[JobId | None, int] = field(default_factory=dict)  # usable ones, idle or not

    records: dict[str, Record] = field(default_factory=dict)  # by `known_as`, at most MAX_RECORDS
    quarantined: dict[WorkerId, int] = field(default_factory=dict)  # those that came back so, and until when
    drained: dict[WorkerId, None] = field(default_factory=dict)  # drain and run nothing: to be released

    ready: list[Listing] = field(default_factory=list)  # heap; the top is never stale
    attempts_started: int = 0
    ready_bound: dict[JobId, None] = field(
        default_factory=dict
    )  # jobs with pending tasks and idle workers of their own
    deadlines: dict[JobId, int] = field(default_factory=dict)  # of running jobs with a timeout, in ms
    timers: list[Timer] = field(default_factory=list)  # heap
    timers_created: int = 0
    unscaled: dict[JobId, None] = field(default_factory=dict)  # jobs whose wish for workers may have changed
    troubled: dict[JobId, bool] = field(default_factory=dict)  # jobs whose `trouble` says something
    cleanable: dict[JobId, None] = field(default_factory=dict)  # ended jobs of which nothing runs any more
    orphans: dict[WorkerId, AttemptId] = field(default_factory=dict)  # after a restart: who ran what
    orphans_due_ms: float | None = None  # after a restart: when attempts without a worker are lost; inf: not known yet

    def running(self, attempt: AttemptId) -> Running | None:
        queue = self.queues.get(job_of(attempt))
        return None if queue is None else queue.running.get(attempt)

    def has_tasks(self, job: Job) -> bool:
        """Whether the job's tasks are in `jobs`, as far as it has any."""
        return job.totals is None or job.id in self.at_hand


def locate(attempt: AttemptId) -> Place:
    job, phase, index, number = attempt.split("-")
    return Place(JobId(job), KINDS[phase], int(index), int(number))


def task_of(attempt: AttemptId) -> TaskId:
    return TaskId(attempt.rpartition("-")[0])


def known_as(worker: str) -> str:
    """The name of a worker over all its connections: a pool that meets it again gives it another number."""
    return worker.partition("~")[0]


def new_queue(job: Job, number: int, limits: Limits) -> JobQueue:
    steps = max(-MAX_PRIORITY_STEPS, min(MAX_PRIORITY_STEPS, job.spec.priority))
    cap = min(job.spec.max_workers or limits.max_workers_per_job, limits.max_workers_per_job)
    return JobQueue(job, number, weight=2.0**steps, worker_cap=cap)


def size_bytes(task: Task, attempt: Attempt) -> int:
    """Of the task's input, 0 while unknown: of a reduce, its attempts say so."""
    return attempt.input_bytes_total or task.input_bytes


def ready_since_ms(queue: JobQueue, task: Task) -> int:
    """Since when the task has waited for nothing but a worker, before its last attempt."""
    maps_done_ms = queue.reduces_ready_ms if task.kind is TaskKind.REDUCE else 0
    return max(task.ready_ms, maps_done_ms, queue.held_until_ms)


def is_failure(attempt: Attempt) -> bool:
    """Whether it failed by the program's or the input's fault."""
    return attempt.status is AttemptStatus.FAILED and not _excused(attempt)


def is_hand_back(attempt: Attempt) -> bool:
    """Whether it ended without a result because its worker was told to end."""
    drained = attempt.failure is not None and attempt.failure.reason == WorkerDrained.reason
    return attempt.status is AttemptStatus.LOST and drained


def is_loss(attempt: Attempt) -> bool:
    """Whether it ended without a result by nobody's fault, and not because its worker was told to end."""
    return (attempt.status is AttemptStatus.LOST and not is_hand_back(attempt)) or (
        attempt.status is AttemptStatus.FAILED
        and _excused(attempt)
        and not _met_full_volume(attempt)  # the job waits for room, which uses up nothing
    )


def counted_failures(attempts: Iterable[Attempt]) -> int:
    return sum(1 for attempt in attempts if is_failure(attempt))


def counted_losses(attempts: Iterable[Attempt]) -> int:
    return sum(1 for attempt in attempts if is_loss(attempt))


def counted_hand_backs(attempts: Iterable[Attempt]) -> int:
    return sum(1 for attempt in attempts if is_hand_back(attempt))


def _met_full_volume(attempt: Attempt) -> bool:
    return attempt.failure is not None and attempt.failure.reason == VolumeFull.reason


def _excused(attempt: Attempt) -> bool:
    return attempt.failure is not None and attempt.failure.reason in EXCUSED_REASONS
