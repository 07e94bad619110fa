"""What the core asks of the outside world. A command runs after the facts beside it are durable.

The outcome of each comes back as an event; all are safe to run twice.
"""

from dataclasses import dataclass, field

from apollo_common.ids import AttemptId, JobId, WorkerId


@dataclass(frozen=True, slots=True)
class PlanInput:
    job: JobId


@dataclass(frozen=True, slots=True)
class OpenOutput:
    """Begin the upload of a part-writing attempt, before its order is sent."""

    attempt: AttemptId
    worker: WorkerId


@dataclass(frozen=True, slots=True)
class RunAttempt:
    attempt: AttemptId
    worker: WorkerId


@dataclass(frozen=True, slots=True)
class AttachAttempt:
    """Hear again of an attempt that was running before a restart."""

    attempt: AttemptId
    worker: WorkerId


@dataclass(frozen=True, slots=True)
class CancelAttempt:
    attempt: AttemptId
    worker: WorkerId
    reason: str


@dataclass(frozen=True, slots=True)
class DiscardPart:
    """The attempt has failed, and its worker is done with it: what it uploaded takes up room for nothing."""

    attempt: AttemptId


@dataclass(frozen=True, slots=True)
class CommitOutput:
    job: JobId


@dataclass(frozen=True, slots=True)
class CleanUp:
    """The job has ended and nothing of it runs: discard uploads, remove intermediate data, forget its secrets."""

    job: JobId


@dataclass(frozen=True, slots=True)
class ArchiveJob:
    """The job is cleaned up: write its summary beside its facts, so that a restart need not fold them."""

    job: JobId


@dataclass(frozen=True, slots=True)
class ScalePool:
    job: JobId
    workers: int


@dataclass(frozen=True, slots=True)
class ReleaseWorker:
    worker: WorkerId
    reason: str = field(default="", compare=False)  # for the pool's log


@dataclass(frozen=True, slots=True)
class ForgetJob:
    """The job's retention is over: drop its facts, its logs, and map outputs that it asked to keep."""

    job: JobId


Command = (
    PlanInput
    | OpenOutput
    | RunAttempt
    | AttachAttempt
    | CancelAttempt
    | DiscardPart
    | CommitOutput
    | CleanUp
    | ArchiveJob
    | ScalePool
    | ReleaseWorker
    | ForgetJob
)
