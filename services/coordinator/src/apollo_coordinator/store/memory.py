"""The ports of `store` in memory, for tests and the simulation. They keep the same promises, but for surviving."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace

from apollo_common.assignment import Split
from apollo_common.errors import InputNotFound, OutputExists, VolumeFull
from apollo_common.ids import AttemptId, JobId, job_of
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.model import Job, Task
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.order import BadRecord, OutputTarget
from apollo_coordinator.ports import JobSecrets, StoredFact, StoredSummary
from apollo_coordinator.store.part_names import part_name


class MemoryJournal:
    """Hand `facts` to another one to play a restart.

    While `full` is set, `append` raises VolumeFull; while `nearly_full` is, `has_room` says no.
    """

    def __init__(self, facts: Sequence[StoredFact] = ()) -> None:
        self.facts = list(facts)
        self.summaries: dict[JobId, StoredSummary] = {}
        self.full = False
        self.nearly_full = False

    async def append(self, facts: Sequence[StoredFact]) -> None:
        if self.full:
            raise VolumeFull("the journal's volume is full; free some space on it")
        self.facts.extend(facts)

    async def last_sequence(self) -> int:
        return max((fact.sequence for fact in self.facts), default=0)

    async def read_ended(self) -> AsyncIterator[StoredSummary]:
        for summary in sorted(self.summaries.values(), key=lambda summary: summary.sequence):
            yield summary

    async def read_open(self) -> AsyncIterator[StoredFact]:
        for fact in [fact for fact in self.facts if fact.job not in self.summaries]:
            yield fact

    async def archive(self, job: JobId, last_event: int, summary: str) -> None:
        for fact in self.facts:
            if fact.job == job:
                self.summaries.setdefault(job, StoredSummary(job, fact.sequence, last_event, summary))
                return

    async def sweep(self) -> int:
        return 0

    async def read_job(self, job: JobId, *, after: int = 0, limit: int = 1000) -> list[StoredFact]:
        return [fact for fact in self.facts if fact.job == job and fact.job_sequence > after][:limit]

    def has_room(self) -> bool:
        return not self.nearly_full

    async def forget(self, job: JobId) -> None:
        self.facts = [fact for fact in self.facts if fact.job != job]
        self.summaries.pop(job, None)

    async def close(self) -> None:
        pass


class MemorySecretStore:
    def __init__(self) -> None:
        self.secrets: dict[JobId, JobSecrets] = {}

    async def put(self, job: JobId, secrets: JobSecrets) -> None:
        self.secrets[job] = secrets

    async def get(self, job: JobId) -> JobSecrets | None:
        return self.secrets.get(job)

    async def delete(self, job: JobId) -> None:
        self.secrets.pop(job, None)

    async def sweep(self, known: Callable[[JobId], bool]) -> int:
        before = len(self.secrets)
        self.secrets = {job: secrets for job, secrets in self.secrets.items() if known(job)}
        return before - len(self.secrets)


class MemoryIntermediateStore:
    def __init__(self) -> None:
        self.kept: dict[JobId, None] = {}  # a test says of which jobs something is there
        self.neighbours: list[str] = []
        self.removed: list[JobId] = []

    async def remove(self, job: JobId) -> None:
        self.removed.append(job)
        self.kept.pop(job, None)

    async def holds(self, job: JobId) -> bool:
        return job in self.kept

    async def jobs(self) -> list[JobId]:
        return list(self.kept)

    async def others(self) -> list[str]:
        return list(self.neighbours)


class MemoryLogStore:
    def __init__(self) -> None:
        self.logs: dict[AttemptId, bytes] = {}
        self.closed: set[AttemptId] = set()

    async def append(self, attempt: AttemptId, content: bytes, offset: int) -> None:
        known = self.logs.get(attempt, b"")
        self.logs[attempt] = known + content[max(0, len(known) - offset) :]

    async def read(self, attempt: AttemptId) -> bytes | None:
        return self.logs.get(attempt)

    async def follow(self, attempt: AttemptId) -> AsyncIterator[bytes]:
        """What is there now; the memory log does not wait for more."""
        yield self.logs.get(attempt, b"")

    async def close_attempt(self, attempt: AttemptId) -> None:
        self.closed.add(attempt)

    async def jobs(self) -> list[JobId]:
        return list(dict.fromkeys(job_of(attempt) for attempt in self.logs))

    async def forget(self, job: JobId) -> None:
        self.logs = {attempt: log for attempt, log in self.logs.items() if job_of(attempt) != job}


class MemoryBadRecords:
    """A BadRecordStore. While `full` is set, `put` raises VolumeFull."""

    def __init__(self) -> None:
        self.records: dict[AttemptId, dict[int, BadRecord]] = {}
        self.full = False

    async def put(self, attempt: AttemptId, record: BadRecord) -> None:
        if self.full:
            raise VolumeFull("the coordinator's volume is full; free some space on it")
        self.records.setdefault(attempt, {}).setdefault(record.number, record)

    async def of_attempt(
        self, attempt: AttemptId, *, after: int = 0, limit: int | None = None, content_bytes: int | None = None
    ) -> list[BadRecord]:
        found = self.records.get(attempt, {})
        wanted = [found[number] for number in sorted(found) if number > after][:limit]
        return [replace(record, content=record.content[:content_bytes]) for record in wanted]

    async def count(self, attempt: AttemptId) -> int:
        return len(self.records.get(attempt, {}))

    async def get(self, attempt: AttemptId, number: int) -> BadRecord | None:
        return self.records.get(attempt, {}).get(number)

    async def retain(self, job: JobId, attempts: Collection[AttemptId]) -> None:
        for attempt in [known for known in self.records if job_of(known) == job and known not in attempts]:
            del self.records[attempt]

    async def jobs(self) -> list[JobId]:
        return list(dict.fromkeys(job_of(attempt) for attempt in self.records))

    async def forget(self, job: JobId) -> None:
        self.records = {attempt: found for attempt, found in self.records.items() if job_of(attempt) != job}


class Mishaps:
    """Errors that the next calls meet, in order; None lets a call through."""

    def __init__(self) -> None:
        self._errors: list[Exception | None] = []

    def plan(self, *errors: Exception | None) -> None:
        self._errors.extend(errors)

    def meet(self) -> None:
        error = self._errors.pop(0) if self._errors else None
        if error is not None:
            raise error


class MemoryInput:
    """An InputPlanner over given splits, by input path."""

    def __init__(self, inputs: dict[str, list[Split]] | None = None) -> None:
        self.inputs = inputs or {}
        self.mishaps = Mishaps()

    async def check_input(self, spec: JobSpec, access: StorageAccess) -> None:  # noqa: ARG002 - the port's signature
        for path in spec.input_paths:
            if path not in self.inputs:
                raise InputNotFound(f"nothing is at {path}; check inputPath")

    async def check_apart(self, spec: JobSpec, access: JobSecrets) -> None:
        """Its inputs lie nowhere."""

    async def plan(self, spec: JobSpec, access: StorageAccess) -> Sequence[Split]:
        self.mishaps.meet()
        await self.check_input(spec, access)
        return [split for path in spec.input_paths for split in self.inputs[path]]


class MemoryOutput:
    """An OutputCommitter that keeps what was published: part URL -> accepted attempt."""

    def __init__(self) -> None:
        self.published: dict[str, AttemptId] = {}
        self.successes: dict[str, JobId] = {}  # by output path
        self.uploads: dict[str, AttemptId] = {}  # that are open
        self.open_mishaps = Mishaps()
        self.commit_mishaps = Mishaps()
        self._opened = 0

    async def check_free(self, spec: JobSpec, access: StorageAccess) -> None:  # noqa: ARG002 - the port's signature
        if spec.output_path in self.successes and not spec.overwrite:
            raise OutputExists(f"there is something at {spec.output_path}; name another output or set overwrite")

    async def open_part(
        self,
        job: Job,
        task: Task,
        attempt: AttemptId,
        access: StorageAccess,  # noqa: ARG002 - the port's signature
    ) -> OutputTarget:
        self.open_mishaps.meet()
        self._opened += 1
        upload_id = f"upload-{self._opened}"
        self.uploads[upload_id] = attempt
        return OutputTarget(f"{job.spec.output_path}/{part_name(job.spec, task.kind, task.index)}", upload_id)

    async def commit(self, job: Job, access: StorageAccess) -> None:  # noqa: ARG002 - the port's signature
        for task in job.output_tasks:
            self.commit_mishaps.meet()
            if task.output is None or task.accepted is None:
                raise AssertionError(f"commit of {job.id} without the output of {task.id}")
            self.uploads.pop(task.output.upload_id, None)
            self.published[task.output.url] = task.accepted
        self.successes[job.spec.output_path] = job.id

    async def discard_part(self, job: Job, part: OutputTarget, access: StorageAccess) -> None:  # noqa: ARG002
        self.uploads.pop(part.upload_id, None)

    async def discard(self, job: Job, access: StorageAccess) -> None:  # noqa: ARG002 - the port's signature
        self.uploads = {upload: attempt for upload, attempt in self.uploads.items() if job_of(attempt) != job.id}
