"""What the core is told: wishes of users, and every outcome of I/O, failures included.

Events of an attempt name the worker they come from. Exactly one of AttemptDone, AttemptFailed, FetchFailed,
AttemptCancelled, AttemptLost and OutputOpenFailed ends what an OpenOutput, RunAttempt or AttachAttempt command began.
"""

from dataclasses import dataclass

from apollo_common.assignment import Counters, PartUpload, Split
from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_common.timings import NO_TIMINGS, Timings
from apollo_coordinator.core.adoption import Adoption
from apollo_coordinator.core.model import Failure, LargestGroup
from apollo_coordinator.core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class JobSubmitted:
    """Comes after `admission.check`; the id is new."""

    job: JobId
    spec: JobSpec


@dataclass(frozen=True, slots=True)
class StopRequested:
    job: JobId


@dataclass(frozen=True, slots=True)
class InputPlanned:
    """The fields of `facts.MapsPlanned`."""

    job: JobId
    splits: tuple[Split, ...]
    adoption: Adoption | None = None


@dataclass(frozen=True, slots=True)
class PlanFailed:
    job: JobId
    failure: Failure


@dataclass(frozen=True, slots=True)
class AccessDelayed:
    """A job's storage credentials cannot be had now, and are asked for again."""

    job: JobId
    message: str


@dataclass(frozen=True, slots=True)
class QuarantineDelayed:
    """A bad record of the job cannot be kept now, and that is tried again."""

    job: JobId
    message: str


@dataclass(frozen=True, slots=True)
class WorkerJoined:
    """A worker is there. `attempt` is what it says it runs, which may be stale or empty."""

    worker: WorkerId
    address: str
    job: JobId | None = None
    pod_name: str = ""
    attempt: AttemptId | None = None
    draining: bool = False
    sandbox: str = ""  # what programs run in there, for people


@dataclass(frozen=True, slots=True)
class WorkerDraining:
    """The worker will end: it was evicted, or its job has no work for it. It gets nothing more."""

    worker: WorkerId


@dataclass(frozen=True, slots=True)
class WorkerLeft:
    worker: WorkerId
    message: str
    fault: str = ""  # by which what ran there has failed, and was not lost: a reason of apollo_common.errors


@dataclass(frozen=True, slots=True)
class PoolTroubled:
    """The pool cannot provide workers to a job, or (None) to any."""

    job: JobId | None
    message: str


@dataclass(frozen=True, slots=True)
class JournalStalled:
    """Facts wait, and all that would follow from them: the journal cannot be written."""

    message: str


@dataclass(frozen=True, slots=True)
class JournalWritten:
    """It can be written again."""

    message: str  # of what is over


@dataclass(frozen=True, slots=True)
class OutputOpened:
    attempt: AttemptId
    worker: WorkerId
    url: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class OutputOpenFailed:
    attempt: AttemptId
    worker: WorkerId
    failure: Failure


@dataclass(frozen=True, slots=True)
class AttemptProgressed:
    attempt: AttemptId
    worker: WorkerId
    input_bytes: int
    input_bytes_total: int
    counters: Counters
    status: str = ""
    timings: Timings = NO_TIMINGS


@dataclass(frozen=True, slots=True)
class AttemptDone:
    attempt: AttemptId
    worker: WorkerId
    counters: Counters
    output_path: str = ""  # shuffling map attempts
    parts: tuple[PartUpload, ...] = ()
    size_bytes: int = 0
    records: int = 0
    sha256: str = ""
    sample: str = ""  # samplers: packed keys
    timings: Timings = NO_TIMINGS
    largest_group: LargestGroup | None = None  # reduces


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    attempt: AttemptId
    worker: WorkerId
    failure: Failure


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """A reduce attempt ended because it cannot read one accepted map output."""

    attempt: AttemptId
    worker: WorkerId
    map_attempt: AttemptId
    failure: Failure


@dataclass(frozen=True, slots=True)
class AttemptCancelled:
    attempt: AttemptId
    worker: WorkerId


@dataclass(frozen=True, slots=True)
class AttemptLost:
    """Nothing more will be heard of it. `worker_usable`: the worker answers, it only does not know the attempt."""

    attempt: AttemptId
    worker: WorkerId
    failure: Failure
    worker_usable: bool = False


@dataclass(frozen=True, slots=True)
class CommitDelayed:
    """A commit has met something that may pass, and is tried again."""

    job: JobId
    message: str


@dataclass(frozen=True, slots=True)
class CommitFinished:
    job: JobId


@dataclass(frozen=True, slots=True)
class CommitFailed:
    """Trying again would fail in the same way."""

    job: JobId
    failure: Failure


@dataclass(frozen=True, slots=True)
class CleanUpFinished:
    job: JobId


@dataclass(frozen=True, slots=True)
class JobArchived:
    """The job's summary is in the journal."""

    job: JobId


@dataclass(frozen=True, slots=True)
class Restarted:
    """The journal has been folded; nothing is known of the outside world yet."""


@dataclass(frozen=True, slots=True)
class PoolStarted:
    """After `Restarted`: from now on workers may come back with what they run; with `all_back`, they all have."""

    all_back: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


AttemptEvent = (
    OutputOpened
    | OutputOpenFailed
    | AttemptProgressed
    | AttemptDone
    | AttemptFailed
    | FetchFailed
    | AttemptCancelled
    | AttemptLost
)

Event = (
    JobSubmitted
    | StopRequested
    | InputPlanned
    | PlanFailed
    | AccessDelayed
    | QuarantineDelayed
    | WorkerJoined
    | WorkerDraining
    | WorkerLeft
    | PoolTroubled
    | JournalStalled
    | JournalWritten
    | AttemptEvent
    | CommitDelayed
    | CommitFinished
    | CommitFailed
    | CleanUpFinished
    | JobArchived
    | Restarted
    | PoolStarted
    | Tick
)
