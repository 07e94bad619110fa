"""What has happened. Folding the durable facts with `apply` gives the state again; nothing else changes it.

Durable facts belong to a job and are journaled. Transient ones describe the present (workers, progress, timers) and are
learnt anew after a restart.
"""

from dataclasses import dataclass
from typing import ClassVar

from apollo_common.assignment import Counters, Split
from apollo_common.ids import AttemptId, JobId, WorkerId, job_of
from apollo_common.timings import NO_TIMINGS, Timings
from apollo_coordinator.core.adoption import Adoption
from apollo_coordinator.core.model import AttemptOutput, Departure, Failure, JobStatus, LargestGroup
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.core.summary import JobSummary


@dataclass(frozen=True, slots=True)
class _Fact:
    durable: ClassVar[bool] = False
    at_ms: int


@dataclass(frozen=True, slots=True)
class _JobFact(_Fact):
    durable: ClassVar[bool] = True
    job: JobId


@dataclass(frozen=True, slots=True)
class _AttemptFact(_Fact):
    durable: ClassVar[bool] = True
    attempt: AttemptId

    @property
    def job(self) -> JobId:
        return job_of(self.attempt)


# Durable


@dataclass(frozen=True, slots=True)
class JobAccepted(_JobFact):
    spec: JobSpec


@dataclass(frozen=True, slots=True)
class JobStarted(_JobFact):
    pass


@dataclass(frozen=True, slots=True)
class MapsPlanned(_JobFact):
    """The map tasks, one per split, and the reduce tasks exist from here on.

    `sampled`: the splits whose beginnings are sampled before any map starts. `adoption`: of a redrive, whose splits are
    those of the earlier job, a further time for each task over bad records.
    """

    splits: tuple[Split, ...]
    sampled: tuple[int, ...] = ()
    adoption: Adoption | None = None


@dataclass(frozen=True, slots=True)
class SplittersChosen(_JobFact):
    """Where the range partitioner cuts; maps may start."""

    splitters: str  # packed keys


@dataclass(frozen=True, slots=True)
class AttemptStarted(_AttemptFact):
    worker: WorkerId
    speculative: bool = False  # a backup attempt: another one of the task runs already
    workers: int = 0  # that could run attempts of the job then, idle or not; 0: an older Apollo did not tell
    worker_joined_ms: int = 0  # when this one came; 0: as above


@dataclass(frozen=True, slots=True)
class AttemptReattached(_AttemptFact):
    """After a restart the attempt still runs, on a worker that is called otherwise now."""

    worker: WorkerId


@dataclass(frozen=True, slots=True)
class UploadOpened(_AttemptFact):
    url: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class AttemptAccepted(_AttemptFact):
    """The task's result; the first attempt that is done wins."""

    output: AttemptOutput
    counters: Counters
    timings: Timings = NO_TIMINGS
    input_bytes: int = 0  # as it told last, of a reduce in bytes of map output; 0: not known
    largest_group: LargestGroup | None = None  # of a reduce


@dataclass(frozen=True, slots=True)
class AttemptFailed(_AttemptFact):
    failure: Failure


@dataclass(frozen=True, slots=True)
class AttemptLost(_AttemptFact):
    failure: Failure


@dataclass(frozen=True, slots=True)
class AttemptCancelled(_AttemptFact):
    message: str


@dataclass(frozen=True, slots=True)
class MapOutputLost(_AttemptFact):
    """The accepted output of a map attempt cannot be read any more; the task is run again."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class CommitStarted(_JobFact):
    pass


@dataclass(frozen=True, slots=True)
class JobEnded(_JobFact):
    """Also ends every attempt that runs (cancelled) and every task that has no result (stopped)."""

    status: JobStatus
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class JobCleaned(_JobFact):
    """Nothing of the ended job is left on volumes, in uploads or in the secret store."""


# Transient


@dataclass(frozen=True, slots=True)
class Recovered(_Fact):
    """The durable facts have been folded; whatever the old process was waiting for is gone with it."""


@dataclass(frozen=True, slots=True)
class GraceBegan(_Fact):
    """Workers may come back from now on, for a while."""


@dataclass(frozen=True, slots=True)
class GraceEnded(_Fact):
    """Workers that have not come back by now do not come back."""


@dataclass(frozen=True, slots=True)
class WorkerAdded(_Fact):
    worker: WorkerId
    address: str
    job: JobId | None
    pod_name: str
    attempt: AttemptId | None
    quarantined: bool = False
    draining: bool = False
    sandbox: str = ""


@dataclass(frozen=True, slots=True)
class DrainStarted(_Fact):
    worker: WorkerId


@dataclass(frozen=True, slots=True)
class WorkerRemoved(_Fact):
    worker: WorkerId
    cause: Departure


@dataclass(frozen=True, slots=True)
class WorkerSuspected(_Fact):
    """An attempt failed or was lost on the worker."""

    worker: WorkerId
    attempt: AttemptId
    quarantined: bool
    lost: bool


@dataclass(frozen=True, slots=True)
class WorkerTrusted(_Fact):
    """Its quarantine is over."""

    worker: WorkerId


@dataclass(frozen=True, slots=True)
class StreamEnded(_Fact):
    """Nothing more comes of this attempt, so its worker is free."""

    attempt: AttemptId
    worker: WorkerId
    succeeded: bool = False


@dataclass(frozen=True, slots=True)
class ProgressSeen(_Fact):
    attempt: AttemptId
    input_bytes: int
    input_bytes_total: int
    counters: Counters
    status: str
    timings: Timings = NO_TIMINGS


@dataclass(frozen=True, slots=True)
class TroubleSeen(_Fact):
    """Why a job (None: every job that has not ended) waits, in words."""

    job: JobId | None
    message: str


@dataclass(frozen=True, slots=True)
class TroubleOver(_Fact):
    """No job waits for this any more."""

    message: str


@dataclass(frozen=True, slots=True)
class TimersFired(_Fact):
    """Everything that was put off until now may go on."""


@dataclass(frozen=True, slots=True)
class PoolScaled(_Fact):
    job: JobId
    workers: int


@dataclass(frozen=True, slots=True)
class StragglersSought(_Fact):
    """The job's running attempts have been compared; the next search is some time off."""

    job: JobId


@dataclass(frozen=True, slots=True)
class CleanUpStarted(_Fact):
    job: JobId


@dataclass(frozen=True, slots=True)
class JobRestored(_Fact):
    """The journal has the job's summary: it is known without its facts being folded."""

    summary: JobSummary


@dataclass(frozen=True, slots=True)
class JobArchived(_Fact):
    """The journal has the cleaned job's summary, so its tasks need not stay at hand."""

    job: JobId


@dataclass(frozen=True, slots=True)
class TasksDropped(_Fact):
    """The tasks of an archived job make room for those of younger ones."""

    job: JobId


@dataclass(frozen=True, slots=True)
class JobForgotten(_Fact):
    job: JobId


DurableFact = (
    JobAccepted
    | JobStarted
    | MapsPlanned
    | SplittersChosen
    | AttemptStarted
    | AttemptReattached
    | UploadOpened
    | AttemptAccepted
    | AttemptFailed
    | AttemptLost
    | AttemptCancelled
    | MapOutputLost
    | CommitStarted
    | JobEnded
    | JobCleaned
)

TransientFact = (
    Recovered
    | GraceBegan
    | GraceEnded
    | WorkerAdded
    | DrainStarted
    | WorkerRemoved
    | WorkerSuspected
    | WorkerTrusted
    | StreamEnded
    | ProgressSeen
    | TroubleSeen
    | TroubleOver
    | TimersFired
    | PoolScaled
    | StragglersSought
    | CleanUpStarted
    | JobRestored
    | JobArchived
    | TasksDropped
    | JobForgotten
)

Fact = DurableFact | TransientFact
