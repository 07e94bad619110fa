"""The scheduling state: jobs, tasks, attempts and workers. Only `apply` and the scheduler change it.

Everything outside the core treats these objects as read-only.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from apollo_common.assignment import Counters, PartUpload, Split
from apollo_common.errors import OutOfMemory
from apollo_common.ids import AttemptId, JobId, TaskId, WorkerId
from apollo_common.timings import NO_TIMINGS, Timings
from apollo_coordinator.core.adoption import AdoptedOutput, BadRecordRange, Origin
from apollo_coordinator.core.spec import JobSpec


def add_counters(total: Counters, counters: Counters, sign: int) -> None:
    """Add (`sign` 1) or take away (-1) every value."""
    for group, names in counters.items():
        sums = total.setdefault(group, {})
        for name, value in names.items():
            sums[name] = sums.get(name, 0) + sign * value


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMMITTING = "committing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED)


class Departure(StrEnum):
    """Why a worker went."""

    RELEASED = "released"  # let go: it was idle, told to end, or at another coordinator's work
    GONE = "gone"  # as its pool saw
    OUT_OF_MEMORY = OutOfMemory.reason
    UNREACHABLE = "unreachable"


class TaskKind(StrEnum):
    MAP = "mapper"  # the words of the original API
    REDUCE = "reducer"
    SAMPLE = "sampler"  # runs the mapper on the beginning of a split, for the splitters of the range partitioner


class TaskStatus(StrEnum):
    SCHEDULED = "scheduled"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


class AttemptStatus(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self is not AttemptStatus.RUNNING


@dataclass(frozen=True, slots=True)
class RecordPlace:
    """A record of the input."""

    input: str
    offset: int  # where it begins in the decoded object, in bytes
    size_bytes: int
    preview: str  # its beginning, as UTF-8


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt or a job failed, in words and in parts."""

    reason: str  # an apollo_common.errors reason code
    message: str
    retryable: bool = True
    task: str = ""
    attempt: str = ""
    program: str = ""
    exit_status: int | None = None
    signal: int | None = None
    input: str = ""
    stderr_tail: str = ""
    fingerprint: str = ""  # equal for failures with one cause
    full_volume: str = ""  # volume_full: which, in the words of apollo_common.volumes
    needed_bytes: int = 0  # volume_full: about how much more room on it would do; 0: unknown
    bad_record: RecordPlace | None = None  # on which the program fails alone, where an attempt has looked for it


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Attempts of a job that failed alike; what is told in words is told of the first."""

    fingerprint: str
    reason: str
    message: str
    attempt: AttemptId  # the first
    first_ms: int
    last_ms: int
    program: str = ""
    exit_status: int | None = None
    signal: int | None = None
    lines: tuple[str, ...] = ()  # those of its standard error that say why
    input: str = ""  # of a map: where its split begins
    offset: int = 0
    attempts: int = 1
    tasks: int = 1
    workers: int = 1
    bad_record: RecordPlace | None = None  # the first that was found


@dataclass(frozen=True, slots=True)
class AttemptOutput:
    """What an accepted attempt left: a directory of map output, or an uploaded part."""

    path: str = ""  # map output, below the intermediate volume
    url: str = ""  # of the part object
    upload_id: str = ""
    parts: tuple[PartUpload, ...] = ()
    size_bytes: int = 0
    records: int = 0
    sha256: str = ""
    sample: str = ""  # of a sampler: packed keys; empty once the splitters are chosen


@dataclass(frozen=True, slots=True)
class LargestGroup:
    """The group of a reduce with the most values: its key, which may be cut, and how many of all it has."""

    key: str
    records: int
    of_records: int


@dataclass(slots=True)
class Attempt:
    id: AttemptId
    worker: WorkerId
    started_ms: int
    status: AttemptStatus = AttemptStatus.RUNNING
    speculative: bool = False
    workers: int = 0  # that could run attempts of the job when this one began; 0: not known
    worker_joined_ms: int = 0  # 0: not known
    ended_ms: int | None = None
    output_url: str = ""  # part-writing attempts: where the upload will become visible
    upload_id: str = ""
    failure: Failure | None = None
    # Progress is no fact: it is lost with the coordinator and comes again with the next heartbeat.
    input_bytes: int = 0
    input_bytes_total: int = 0
    largest_group: LargestGroup | None = None  # of a reduce that succeeded
    program_status: str = ""
    heard_ms: int = 0
    advanced_ms: int = 0  # when more input was last read, as far as this coordinator has seen
    counters: Counters | None = None  # of a running attempt, as last reported
    timings: Timings = NO_TIMINGS  # of a running attempt, as last reported, and of one that succeeded


@dataclass(slots=True)
class Task:
    id: TaskId
    index: int
    kind: TaskKind
    status: TaskStatus = TaskStatus.SCHEDULED
    split: Split | None = None  # map tasks and samplers
    origin: Origin | None = None  # map tasks of a redrive
    attempts: list[Attempt] = field(default_factory=list)
    accepted: AttemptId | None = None
    output: AttemptOutput | None = None
    counters: Counters = field(default_factory=dict)  # of the accepted attempt
    # Since when it lacks nothing but a worker, and a reduce map outputs. A delay that is over is no fact.
    ready_ms: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None

    @property
    def adopted(self) -> bool:
        """Whether it has had its output from the start, and has no attempts."""
        return isinstance(self.origin, AdoptedOutput)

    @property
    def output_attempt(self) -> AttemptId | None:
        """Whose its output is: of the earlier job where it was adopted."""
        return self.origin.attempt if isinstance(self.origin, AdoptedOutput) else self.accepted

    @property
    def input_bytes(self) -> int:
        """Of what it maps; 0 of a reduce."""
        if isinstance(self.origin, BadRecordRange):
            return self.origin.size_bytes
        return self.split.size_bytes if self.split is not None else 0


@dataclass(slots=True)
class TaskTally:
    """Of the tasks of one kind that a job has: how many have a result, and how many run."""

    completed: int = 0
    in_progress: int = 0

    def moved(self, before: TaskStatus, after: TaskStatus) -> None:
        self.completed += (after is TaskStatus.COMPLETED) - (before is TaskStatus.COMPLETED)
        self.in_progress += (after is TaskStatus.IN_PROGRESS) - (before is TaskStatus.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class TaskTotals:
    """How many tasks a job has, and how many of them have a result."""

    maps: int
    maps_completed: int
    reduces: int
    reduces_completed: int


@dataclass(slots=True)
class Job:
    id: JobId
    spec: JobSpec
    created_ms: int
    status: JobStatus = JobStatus.QUEUED
    started_ms: int | None = None
    planned_ms: int | None = None
    committing_ms: int | None = None
    ended_ms: int | None = None
    maps: list[Task] = field(default_factory=list)
    reduces: list[Task] = field(default_factory=list)
    samplers: list[Task] = field(default_factory=list)  # before the maps; a few, which no limit counts
    map_tally: TaskTally = field(default_factory=TaskTally)
    reduce_tally: TaskTally = field(default_factory=TaskTally)
    sampler_tally: TaskTally = field(default_factory=TaskTally)
    splitters: str | None = None  # packed; None: not chosen, or not needed
    planned: bool = False
    failure: Failure | None = None
    counters: Counters = field(default_factory=dict)  # of accepted attempts, and of adopted outputs
    adopted_counters: Counters = field(default_factory=dict)  # of the latter alone
    map_timings: Timings = NO_TIMINGS  # of the same, added up
    reduce_timings: Timings = NO_TIMINGS
    speculative_attempts: int = 0  # started so far
    speculative_won: int = 0  # of those, accepted
    failures: dict[str, FailureGroup] = field(default_factory=dict)  # by fingerprint, in order of the first
    trouble: str = ""  # why the job waits, in the words of the pool, a volume or the output's store; not journaled
    totals: TaskTotals | None = None  # of an archived job, whose tasks need not be at hand

    @property
    def tasks(self) -> tuple[Task, ...]:
        return (*self.samplers, *self.maps, *self.reduces)

    def tasks_of(self, kind: TaskKind) -> list[Task]:
        return {TaskKind.SAMPLE: self.samplers, TaskKind.MAP: self.maps, TaskKind.REDUCE: self.reduces}[kind]

    def tally_of(self, kind: TaskKind) -> TaskTally:
        if kind is TaskKind.MAP:
            return self.map_tally
        return self.reduce_tally if kind is TaskKind.REDUCE else self.sampler_tally

    @property
    def output_tasks(self) -> list[Task]:
        """The tasks whose outputs are the job's parts: reduces, or the maps of a map-only job."""
        return self.maps if self.spec.n_reducers == 0 else self.reduces


@dataclass(slots=True)
class Worker:
    """A worker the pool announced. `job` binds it to one job (Kubernetes); None: it serves any."""

    id: WorkerId
    address: str
    job: JobId | None = None
    attempt: AttemptId | None = None
    joined_ms: int = 0
    heard_ms: int = 0
    quarantined: bool = False
    draining: bool = False  # what it runs may end there, and it gets nothing more. Such a worker is in no quarantine
    slow: bool = False  # a backup attempt elsewhere has overtaken it, since its last success
    pod_name: str = ""
    sandbox: str = ""  # what programs run in there, for people
    failed_tasks: list[TaskId] = field(default_factory=list)  # different ones since its last success; bounded

    @property
    def usable(self) -> bool:
        """Whether it may get attempts, now or once it is idle."""
        return not self.quarantined and not self.draining
