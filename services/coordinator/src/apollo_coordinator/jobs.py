"""The service that the API speaks with: submit, stop and look at jobs. The engine implements it."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from apollo_common.assignment import Counters
from apollo_common.ids import AttemptId, JobId, TaskId, WorkerId
from apollo_common.timings import Timings
from apollo_coordinator.core.explanation.findings import Line
from apollo_coordinator.core.model import Attempt, Job, Task, TaskKind, Worker
from apollo_coordinator.core.spec import JobSpec, ProgramRef
from apollo_coordinator.order import AttemptOrder, BadRecord
from apollo_coordinator.ports import JobSecrets


@dataclass(frozen=True, slots=True)
class Submitted:
    job: Job
    created: bool  # False: the idempotency key named a job that was there already


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One line of a job's story. `id` rises by one from 1; 0 marks progress, which is not kept or told again."""

    id: int
    kind: str
    at_ms: int
    body: dict[str, Any]
    last: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """What a worker was told about an attempt, for who runs it elsewhere. It opens no store and no upload by itself."""

    job: Job
    attempt: Attempt
    order: AttemptOrder


@dataclass(frozen=True, slots=True)
class Changes:
    """Jobs and workers of which something has changed, as they are now, and those that are there no more."""

    jobs: tuple[Job, ...] = ()
    workers: tuple[Worker, ...] = ()
    gone_jobs: tuple[JobId, ...] = ()
    gone_workers: tuple[WorkerId, ...] = ()


@dataclass(frozen=True, slots=True)
class JobBadRecord:
    """A bad record among all of its job's, which count from 1 in order of their tasks."""

    number: int
    task: TaskId
    attempt: AttemptId
    record: BadRecord


class JobService(Protocol):
    """Errors: UnknownJob, JobEnded, LimitExceeded, and what the storage preflight of `submit` meets."""

    @property
    def recovered(self) -> bool:
        """Whether the journal has been read, so that jobs which are there are known. The API waits for it."""
        ...

    @property
    def ready(self) -> bool:
        """Whether jobs are taken now."""
        ...

    @property
    def full(self) -> bool:
        """Whether no job is taken because the coordinator's volume has no room for its facts."""
        ...

    def submitted(self, idempotency_key: str, body_digest: str) -> Job | None:
        """The job that this key made, if there is one. IdempotencyConflict when its body was another."""
        ...

    async def submit(self, spec: JobSpec, secrets: JobSecrets | None) -> Submitted:
        """Check input and output, journal the job, return it queued.

        ObjectNotFound (no input), OutputExists (or reserved by another job), OutputHoldsInput, IdempotencyConflict,
        VolumeFull.
        """
        ...

    async def mapper_to_redrive(self, job: JobId, *, remap: bool) -> ProgramRef:
        """The mapper of the inputs that have bad records, which another one is to replace.

        CannotRedrive; MustMapAgain when there are no map outputs to reduce again, unless `remap`.
        """
        ...

    async def stop(self, job: JobId) -> Job:
        """Cancel what runs; a job that was stopped before is returned as it is.

        JobEnded when it ended in another way or is committing: from there it ends by itself, unless what it commits to
        is in trouble. VolumeFull.
        """
        ...

    def job(self, job: JobId) -> Job: ...

    def jobs(
        self,
        *,
        after: JobId | None = None,
        limit: int = 100,
        newest_first: bool = False,
        wanted: Callable[[Job], bool] | None = None,
    ) -> Sequence[Job]:
        """In order of creation, or from the newest on. `wanted`: only those."""
        ...

    async def tasks(self, job: JobId) -> Sequence[Task]:
        """Map tasks, then reduce tasks. Those of a job that ended long ago may take a moment."""
        ...

    async def task(self, task: TaskId) -> Task: ...

    async def attempt(self, attempt: AttemptId) -> Attempt: ...

    def counters(self, job: JobId) -> Counters:
        """Accepted attempts, plus what the running ones have reported."""
        ...

    def timings(self, job: JobId) -> dict[TaskKind, Timings]:
        """Of the same attempts, added up; of a task that is backed up, all that run."""
        ...

    async def bad_records(self, job: JobId, *, after: int = 0, limit: int = 100) -> Sequence[JobBadRecord]:
        """Those with numbers over `after`, with the beginnings of their contents."""
        ...

    async def bad_record(self, job: JobId, number: int) -> JobBadRecord:
        """With all of its content. UnknownJob also when the job has none with this number."""
        ...

    async def explanation(self, job: JobId) -> Sequence[Line]:
        """Why it took as long as it did, or takes: the most important line first."""
        ...

    def workers(self) -> Sequence[Worker]: ...

    def artifact_in_use(self, digest: str) -> bool:
        """Whether a job that has not ended refers to it."""
        ...

    def artifact_needed(self, digest: str) -> bool:
        """Whether any job refers to it that is not forgotten: its attempts can be replayed."""
        ...

    def artifact_users(self, digest: str) -> frozenset[str]:
        """Whose these jobs are."""
        ...

    async def replay(self, task: TaskId, number: int | None) -> Replay:
        """An attempt of the task as a worker was given it. None: the last that failed, else the last one.

        UnknownJob when there is no such task or attempt; MapOutputsGone when a reduce's input is there no more.
        """
        ...

    def events(self, job: JobId, *, after: int = 0) -> AsyncIterator[JobEvent]:
        """What happened with id > after, then what happens, until the job has ended."""
        ...

    def changes(self) -> AsyncIterator[Changes]:
        """What changes about all jobs and workers from now on, without end. Progress of attempts is no change."""
        ...
