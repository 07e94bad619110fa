"""A JobService in memory for tests of the API: it schedules nothing, a test says what happens."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from apollo_common.assignment import Counters
from apollo_common.errors import IdempotencyConflict, JobEnded, UnknownJob
from apollo_common.ids import AttemptId, JobId, TaskId, WorkerId, attempt_id, job_of, map_task_id, reduce_task_id
from apollo_common.timings import Timings
from apollo_coordinator.core.explanation.findings import Line
from apollo_coordinator.core.model import Attempt, Job, JobStatus, Task, TaskKind, TaskStatus, Worker
from apollo_coordinator.core.redrive import check_redrivable, mapper_to_replace, what_mapping_all_costs
from apollo_coordinator.core.spec import JobSpec, ProgramRef
from apollo_coordinator.engine.quarantine import listed, whole
from apollo_coordinator.engine.replays import replay_of
from apollo_coordinator.jobs import Changes, JobBadRecord, JobEvent, Replay, Submitted
from apollo_coordinator.ports import JobSecrets
from apollo_coordinator.store.memory import MemoryBadRecords


class MemoryJobs:
    def __init__(self) -> None:
        self.recovered = True
        self.ready = True
        self.full = False
        self.refuse: Exception | None = None  # what the next submit meets
        self.secrets: dict[JobId, JobSecrets | None] = {}
        self.quarantine = MemoryBadRecords()
        self.given_workers: list[Worker] = []
        self.given_explanation: list[Line] = []
        self._jobs: dict[JobId, Job] = {}
        self._events: dict[JobId, list[JobEvent]] = {}
        self._changed = asyncio.Event()
        self.changed: asyncio.Queue[Changes] = asyncio.Queue()  # what a reader of changes is told

    async def submit(self, spec: JobSpec, secrets: JobSecrets | None) -> Submitted:
        await asyncio.sleep(0)
        if self.refuse is not None:
            raise self.refuse
        if spec.idempotency_key and (job := self.submitted(spec.idempotency_key, spec.body_digest)):
            return Submitted(job, created=False)
        job = Job(JobId(f"job{len(self._jobs):09d}"), spec, created_ms=1000 + len(self._jobs))
        self._jobs[job.id], self._events[job.id], self.secrets[job.id] = job, [], secrets
        self.tell(job, "job_submitted")
        return Submitted(job, created=True)

    def submitted(self, idempotency_key: str, body_digest: str) -> Job | None:
        for job in self._jobs.values():
            if job.spec.idempotency_key == idempotency_key:
                if job.spec.body_digest != body_digest:
                    raise IdempotencyConflict("This key was used with another body.")
                return job
        return None

    async def mapper_to_redrive(self, job: JobId, *, remap: bool) -> ProgramRef:
        found = self.job(job)
        check_redrivable(found)
        if not remap and not found.spec.keep_intermediate:
            raise what_mapping_all_costs(found, "nothing was kept")
        return mapper_to_replace(found)

    async def stop(self, job: JobId) -> Job:
        found = self.job(job)
        if found.status in (JobStatus.SUCCEEDED, JobStatus.FAILED):
            raise JobEnded(f"Job {job} has ended.")
        if found.status is not JobStatus.STOPPED:
            self.end(found, JobStatus.STOPPED)
        return found

    def job(self, job: JobId) -> Job:
        if job not in self._jobs:
            raise UnknownJob(f"There is no job {job}.")
        return self._jobs[job]

    def jobs(
        self,
        *,
        after: JobId | None = None,
        limit: int = 100,
        newest_first: bool = False,
        wanted: Callable[[Job], bool] | None = None,
    ) -> Sequence[Job]:
        found = list(self._jobs.values())[:: -1 if newest_first else 1]
        start = 0 if after is None else 1 + found.index(self.job(after))
        return [job for job in found[start:] if wanted is None or wanted(job)][:limit]

    async def tasks(self, job: JobId) -> Sequence[Task]:
        return [*self.job(job).maps, *self.job(job).reduces]

    async def task(self, task: TaskId) -> Task:
        for found in await self.tasks(job_of(task)):
            if found.id == task:
                return found
        raise UnknownJob(f"There is no task {task}.")

    async def attempt(self, attempt: AttemptId) -> Attempt:
        for task in await self.tasks(job_of(attempt)):
            for found in task.attempts:
                if found.id == attempt:
                    return found
        raise UnknownJob(f"There is no attempt {attempt}.")

    def counters(self, job: JobId) -> Counters:
        return self.job(job).counters

    def timings(self, job: JobId) -> dict[TaskKind, Timings]:
        found = self.job(job)
        return {TaskKind.MAP: found.map_timings, TaskKind.REDUCE: found.reduce_timings}

    async def bad_records(self, job: JobId, *, after: int = 0, limit: int = 100) -> Sequence[JobBadRecord]:
        return await listed(self.quarantine, self.job(job), after=after, limit=limit)

    async def bad_record(self, job: JobId, number: int) -> JobBadRecord:
        return await whole(self.quarantine, self.job(job), number)

    async def explanation(self, job: JobId) -> Sequence[Line]:
        self.job(job)
        return self.given_explanation

    def workers(self) -> Sequence[Worker]:
        return self.given_workers

    def artifact_in_use(self, digest: str) -> bool:
        return any(
            program is not None and program.digest == digest
            for job in self._jobs.values()
            if not job.status.ended
            for program in (job.spec.mapper, job.spec.reducer, job.spec.combiner)
        )

    def artifact_needed(self, digest: str) -> bool:
        return any(digest in job.spec.artifact_digests for job in self._jobs.values())

    def artifact_users(self, digest: str) -> frozenset[str]:
        return frozenset(job.spec.user for job in self._jobs.values() if digest in job.spec.artifact_digests)

    async def replay(self, task: TaskId, number: int | None) -> Replay:
        return replay_of(self.job(job_of(task)), await self.task(task), number)

    async def events(self, job: JobId, *, after: int = 0) -> AsyncIterator[JobEvent]:
        position = after
        while True:
            changed = self._changed
            for event in self._events[job][position:]:
                yield event
                if event.last:
                    return
                position = event.id
            if self._jobs[job].status.ended:
                return
            await changed.wait()

    async def changes(self) -> AsyncIterator[Changes]:
        while True:
            yield await self.changed.get()

    # What a test does to it

    def tell(self, job: Job, kind: str, *, last: bool = False, **body: Any) -> None:
        events = self._events[job.id]
        events.append(JobEvent(len(events) + 1, kind, 2000 + len(events), body, last))
        self._changed.set()
        self._changed = asyncio.Event()

    def end(self, job: Job, status: JobStatus) -> None:
        job.status, job.ended_ms = status, 9000
        self.tell(job, "job_ended", last=True, status=status.value)

    def forget(self, job: JobId) -> None:
        del self._jobs[job], self._events[job]

    def start(self, job: Job, *, maps: int, reduces: int) -> None:
        """Give the job tasks; the first map task gets an attempt that runs."""
        job.status, job.started_ms, job.planned = JobStatus.RUNNING, 3000, True
        job.maps = [Task(map_task_id(job.id, index), index, TaskKind.MAP) for index in range(maps)]
        job.reduces = [Task(reduce_task_id(job.id, index), index, TaskKind.REDUCE) for index in range(reduces)]
        first = job.maps[0]
        job.map_tally.moved(first.status, TaskStatus.IN_PROGRESS)
        first.status, first.started_ms = TaskStatus.IN_PROGRESS, 3100
        first.attempts.append(Attempt(attempt_id(first.id, 0), WorkerId("w1"), 3100))
        self.tell(job, "job_started")
