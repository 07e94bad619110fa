"""What the engine needs from the outside, as protocols. Every port has a memory adapter for tests."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from apollo_common.assignment import Split
from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_common.storage.port import AttemptAccess, StorageAccess
from apollo_coordinator.callers import ANYONE, Caller
from apollo_coordinator.core.model import Job, Task
from apollo_coordinator.core.pod_overrides import PodOverrides
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.order import AttemptOrder, AttemptReport, BadRecord, OutputTarget, WorkerDescription


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds since 1970; never goes back within one process."""
        ...


# Workers


@dataclass(frozen=True, slots=True)
class WorkerUp:
    """A worker is ready for work. The same id never comes again after WorkerGone."""

    worker: WorkerId
    address: str
    job: JobId | None = None
    pod_name: str = ""


@dataclass(frozen=True, slots=True)
class WorkerDraining:
    """A worker is going to end, or its job has no work for it: it gets no further attempt.

    The engine releases it as soon as it runs none, at once if it is idle: an attempt that it has given out meanwhile
    is safe. What still runs when the worker is gone was lost without anybody's fault.
    """

    worker: WorkerId
    reason: str  # a sentence for the user


@dataclass(frozen=True, slots=True)
class WorkerGone:
    worker: WorkerId
    reason: str  # a sentence for the user
    fault: str = ""  # by which what ran there has failed, and was not lost: a reason of apollo_common.errors


@dataclass(frozen=True, slots=True)
class PoolTrouble:
    """The pool cannot provide workers, in words: image pull, quota, a program that does not start."""

    job: JobId | None
    message: str


@dataclass(frozen=True, slots=True)
class PoolBroken:
    """The pool will never provide workers: none starts with its settings. The message names the setting."""

    message: str


PoolEvent = WorkerUp | WorkerDraining | WorkerGone | PoolTrouble | PoolBroken


class WorkerLink(Protocol):
    """One worker, as the engine speaks with it. Errors: WorkerUnreachable, WorkerBusy, WorkerDrained."""

    def run(self, order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        """Start an attempt and hear of it until it ends. Silence past the deadline raises WorkerUnreachable."""
        ...

    def attach(self, attempt: AttemptId) -> AsyncIterator[AttemptReport]:
        """Hear again of an attempt that runs there. ObjectNotFound when the worker does not know it."""
        ...

    async def cancel(self, attempt: AttemptId, reason: str) -> None: ...

    async def describe(self) -> WorkerDescription: ...

    async def renew(self, attempt: AttemptId, access: AttemptAccess) -> None:
        """From now on the attempt calls its stores with these credentials; nothing happens when it is over."""
        ...

    async def install(self, digest: str, content: Path) -> None:
        """Put an artifact into the worker's cache; nothing happens when it is there. VolumeFull."""
        ...

    async def close(self) -> None: ...


class WorkerPool(Protocol):
    """Where workers come from."""

    tells_ends: bool
    """Whether it soon tells how a worker ended that cannot be reached any more: WorkerGone, perhaps with a fault."""

    adopts_at_start: bool
    """Whether it has announced every worker that it will ever adopt when `start` returns."""

    async def start(self, listener: Callable[[PoolEvent], None]) -> None:
        """Begin; the listener is called on the event loop and does not block. Adopts workers that still live."""
        ...

    async def scale(self, job: JobId | None, workers: int, pods: PodOverrides | None = None) -> None:
        """Say how many workers are wanted in all for a job (None: for the whole pool). A fixed pool ignores it.

        `pods`: what the job asks of them where they are pods.
        """
        ...

    async def release(self, worker: WorkerId, reason: str = "") -> None:
        """The engine does not want this worker any more: idle, quarantined or unreachable. `reason`: for the log."""
        ...

    def link(self, worker: WorkerId) -> WorkerLink: ...

    async def close(self) -> None:
        """End the workers that die with the coordinator and stop watching."""
        ...


# State


@dataclass(frozen=True, slots=True)
class StoredFact:
    """A fact as the journal keeps it. `sequence` rises over the whole journal, `job_sequence` from 1 within a job."""

    sequence: int
    job: JobId
    job_sequence: int
    at_ms: int
    kind: str
    body: str  # JSON


@dataclass(frozen=True, slots=True)
class StoredSummary:
    """An ended job as a restart reads it in place of its facts."""

    job: JobId
    sequence: int  # of the job's first fact
    last_event: int  # the job_sequence of the fact that ended it
    body: str  # JSON


class Journal(Protocol):
    """Durable facts, in order. A fact that `append` has returned for survives a crash. VolumeFull."""

    async def append(self, facts: Sequence[StoredFact]) -> None: ...

    async def last_sequence(self) -> int:
        """The greatest sequence in the journal; 0 when it is empty."""
        ...

    def read_ended(self) -> AsyncIterator[StoredSummary]:
        """Archived jobs, by `sequence`."""
        ...

    def read_open(self) -> AsyncIterator[StoredFact]:
        """The facts of all other jobs, by `sequence`. Costs nothing for facts of archived jobs."""
        ...

    async def archive(self, job: JobId, last_event: int, summary: str) -> None:
        """Keep a summary beside the facts of an ended job. Once is enough; nothing happens for an unknown one."""
        ...

    async def sweep(self) -> int:
        """Go on with what a crash interrupted in `forget`; how many jobs."""
        ...

    async def read_job(self, job: JobId, *, after: int = 0, limit: int = 1000) -> list[StoredFact]:
        """A job's facts with job_sequence > after."""
        ...

    def has_room(self) -> bool:
        """Whether the volume has room for another job. Cheap: asks the file system, writes nothing."""
        ...

    async def forget(self, job: JobId) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ArtifactInfo:
    """An uploaded file. `type`: executable (as in the original API) or file (a job's side file).

    `protocol`: frames or text; empty for a file.
    """

    name: str
    type: str
    size_bytes: int
    digest: str  # SHA-256 in hex
    protocol: str
    created_ms: int
    uploaded_ms: int = 0  # the last time under this name; 0: as created, by a version that did not note it
    user: str = ""  # who uploaded it first under this name; empty: nobody was asked


class ArtifactStore(Protocol):
    """Files by digest, names that point at them. Errors: ObjectNotFound, VolumeFull."""

    async def receive(
        self, name: str, chunks: AsyncIterator[bytes], *, kind: str = "executable", caller: Caller = ANYONE
    ) -> ArtifactInfo:
        """Store an upload under its name; nothing is kept unless `chunks` ends well. `kind`: executable or file.

        ArtifactRejected, ArtifactTooLarge, NotOwner when something else is there under that name which is not the
        caller's to replace, and whatever `chunks` raises.
        """
        ...

    async def get(self, name: str) -> ArtifactInfo | None: ...

    async def all(self) -> list[ArtifactInfo]: ...

    async def delete(self, name: str) -> None: ...

    def path(self, digest: str) -> Path:
        """Where the bytes lie. Kept while any job that has not ended refers to the digest."""
        ...

    def pinned(self, digests: Iterable[str]) -> AbstractContextManager[None]:
        """Keep these bytes from `collect` while a job that will refer to them is being submitted."""
        ...

    async def expire(self, before_ms: int, in_use: Callable[[str], bool]) -> int:
        """Remove the names last uploaded before then whose bytes no pin and, as `in_use` tells, no job refers to.

        Returns how many. Their bytes go with the next `collect`.
        """
        ...

    async def collect(self, in_use: Callable[[str], bool]) -> int:
        """Remove the bytes that no name, no pin and, as `in_use` tells by digest, no job refers to; how many files."""
        ...


class MapOutputReader(Protocol):
    """The files of map outputs, wherever workers leave them. Errors of ObjectStore."""

    async def size_bytes(self, path: str, file: str) -> int | None:
        """Of a file of the map output at `path`, as its task's AttemptOutput has it; None when it is not there."""
        ...

    def read(self, path: str, file: str, *, offset: int, length_bytes: int) -> AsyncGenerator[bytes, None]:
        """In chunks of at most 1 MiB. ObjectNotFound."""
        ...


class LogStore(Protocol):
    """Standard error of attempts: bounded (head and tail), readable while it grows."""

    async def append(self, attempt: AttemptId, content: bytes, offset: int) -> None:
        """Keep what begins at `offset` of the whole log. What is there already is not kept twice; a gap is told of."""
        ...

    async def read(self, attempt: AttemptId) -> bytes | None: ...

    def follow(self, attempt: AttemptId) -> AsyncIterator[bytes]:
        """What is there, then what comes, until the attempt is closed."""
        ...

    async def close_attempt(self, attempt: AttemptId) -> None: ...

    async def jobs(self) -> list[JobId]:
        """The jobs of which something is kept."""
        ...

    async def forget(self, job: JobId) -> None: ...


class BadRecordStore(Protocol):
    """The quarantine: records that a job has skipped, by the attempt that found them. VolumeFull."""

    async def put(self, attempt: AttemptId, record: BadRecord) -> None:
        """Keep a record. It survives a crash once this has returned; one whose number is there stays as it is."""
        ...

    async def of_attempt(
        self, attempt: AttemptId, *, after: int = 0, limit: int | None = None, content_bytes: int | None = None
    ) -> list[BadRecord]:
        """The first `limit` with numbers over `after`, in order; of each content `content_bytes` at most."""
        ...

    async def count(self, attempt: AttemptId) -> int: ...

    async def get(self, attempt: AttemptId, number: int) -> BadRecord | None: ...

    async def retain(self, job: JobId, attempts: Collection[AttemptId]) -> None:
        """Forget what all other attempts of the job have found."""
        ...

    async def jobs(self) -> list[JobId]:
        """The jobs of which something is kept."""
        ...

    async def forget(self, job: JobId) -> None: ...


@dataclass(frozen=True, slots=True, repr=False)
class JobSecrets:
    """Credentials that came in a job's body. Never in the journal, a log, an error or an answer."""

    input_access: StorageAccess
    output_access: StorageAccess


NO_SECRETS = JobSecrets(StorageAccess(), StorageAccess())


class SecretStore(Protocol):
    async def put(self, job: JobId, secrets: JobSecrets) -> None: ...

    async def get(self, job: JobId) -> JobSecrets | None: ...

    async def delete(self, job: JobId) -> None: ...

    async def sweep(self, known: Callable[[JobId], bool]) -> int:
        """Remove what belongs to no known job: a crash may come between a job's credentials and the job. How many.

        `known` is asked, on the event loop, after what there is was listed: jobs may come meanwhile.
        """
        ...


class CredentialSource(Protocol):
    """Storage credentials that came in no job's body. StorageAccessDenied; whatever its place cannot answer now."""

    lends: bool
    """Whether `lend` ever adds anything."""

    async def named(self, name: str, endpoints: frozenset[str]) -> StorageAccess:
        """Those that the operator keeps under a name. CredentialsUnusable, also when `endpoints` are not theirs."""
        ...

    async def lend(self, access: StorageAccess) -> StorageAccess:
        """What a worker calls a store with. Good for some minutes at least: ask again."""
        ...


# Data


class InputPlanner(Protocol):
    """Finds the input and cuts it into splits. Errors: those of ObjectStore, InvalidLocation."""

    async def check_input(self, spec: JobSpec, access: StorageAccess) -> None:
        """ObjectNotFound when an input path names nothing."""
        ...

    async def check_apart(self, spec: JobSpec, access: JobSecrets) -> None:
        """OutputHoldsInput when the job's commit would remove or replace what it reads."""
        ...

    async def plan(self, spec: JobSpec, access: StorageAccess) -> Sequence[Split]:
        """One split per map task; none when the input holds no bytes."""
        ...


class OutputCommitter(Protocol):
    """Parts of a job's output: opened per attempt, published together. OutputNotWritable; those of ObjectStore."""

    async def check_free(self, spec: JobSpec, access: StorageAccess) -> None:
        """OutputExists when something is there and the job may not overwrite it."""
        ...

    async def open_part(self, job: Job, task: Task, attempt: AttemptId, access: StorageAccess) -> OutputTarget:
        """Begin the upload of `part-r-NNNNN` (map-only: `part-m-NNNNN`, or the job's own prefix), with the attempt id
        as metadata.
        """
        ...

    async def commit(self, job: Job, access: StorageAccess) -> None:
        """Publish the accepted outputs of `job.output_tasks`, `_SUCCESS` last. Run again after a crash, it goes on.

        OutputHoldsInput, with nothing changed, when that would remove or replace what the job has read.
        """
        ...

    async def discard_part(self, job: Job, part: OutputTarget, access: StorageAccess) -> None:
        """Abort one upload that `open_part` began; an unknown one is no error."""
        ...

    async def discard(self, job: Job, access: StorageAccess) -> None:
        """Abort every upload of the job's attempts that no commit published; unknown ones are no error."""
        ...


class IntermediateStore(Protocol):
    """Map outputs where all workers reach them. StorageUnavailable; in a bucket also the errors of ObjectStore."""

    async def remove(self, job: JobId) -> None: ...

    async def holds(self, job: JobId) -> bool:
        """Whether anything of the job is there."""
        ...

    async def jobs(self) -> list[JobId]:
        """The jobs of which something is there, also those of other coordinators."""
        ...

    async def others(self) -> list[str]:
        """The marks of other coordinators that have ever used the place: what they are called, and where.

        Asked after `jobs`, for these.
        """
        ...
