"""What the job service answers about jobs, their tasks, attempts and workers. Nothing here changes anything."""

from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice

from apollo_common.assignment import Counters
from apollo_common.errors import UnknownJob
from apollo_common.ids import AttemptId, JobId, TaskId, job_of
from apollo_common.timings import Timings
from apollo_coordinator.core.adoption import BadRecordRange
from apollo_coordinator.core.explanation.findings import Line
from apollo_coordinator.core.model import Attempt, AttemptStatus, Job, Task, TaskKind, Worker, add_counters
from apollo_coordinator.core.redrive import check_redrivable, mapper_to_replace
from apollo_coordinator.core.spec import ProgramRef
from apollo_coordinator.core.state import KINDS, State
from apollo_coordinator.engine.changes import ChangeFeed
from apollo_coordinator.engine.explaining import Explainer
from apollo_coordinator.engine.feed import EventFeed
from apollo_coordinator.engine.past_tasks import PastTasks
from apollo_coordinator.engine.ports import EnginePorts
from apollo_coordinator.engine.quarantine import listed, whole
from apollo_coordinator.engine.redrives import check_map_outputs, packed_records
from apollo_coordinator.engine.replays import replay_of
from apollo_coordinator.engine.settings import EngineSettings
from apollo_coordinator.jobs import Changes, JobBadRecord, JobEvent, Replay


class JobQueries:
    """The half of apollo_coordinator.jobs.JobService that only looks. Owns the state, which the engine changes."""

    def __init__(self, ports: EnginePorts, settings: EngineSettings) -> None:
        self._ports = ports
        self._settings = settings
        self._state = State(settings.limits)
        self._feed = EventFeed(ports.journal, ports.clock, settings, self._state)
        self._changes = ChangeFeed(settings, self._state)
        self._past_tasks = PastTasks(ports.journal, settings.limits)
        worker_cap = settings.limits.max_workers_per_job
        self._explainer = Explainer(self._with_tasks, ports.clock, worker_cap=worker_cap)

    @property
    def state(self) -> State:
        """For tests and diagnosis; read only."""
        return self._state

    def job(self, job: JobId) -> Job:
        try:
            return self._state.jobs[job]
        except KeyError:
            raise UnknownJob(f"there is no job {job}") from None

    def jobs(
        self,
        *,
        after: JobId | None = None,
        limit: int = 100,
        newest_first: bool = False,
        wanted: Callable[[Job], bool] | None = None,
    ) -> Sequence[Job]:
        known = self._state.jobs.values()
        everything = reversed(known) if newest_first else iter(known)
        if after is not None:
            for job in everything:
                if job.id == after:
                    break
        return list(islice(filter(wanted, everything) if wanted else everything, limit))

    async def tasks(self, job: JobId) -> Sequence[Task]:
        found = await self._with_tasks(job)
        return found.tasks

    async def task(self, task: TaskId) -> Task:
        job = await self._with_tasks(job_of(task))
        _, _, place = task.partition("-")
        phase, _, index = place.partition("-")
        tasks = job.tasks_of(KINDS[phase]) if phase in KINDS else []
        if not index.isdecimal() or int(index) >= len(tasks) or tasks[int(index)].id != task:
            raise UnknownJob(f"there is no task {task}")
        return tasks[int(index)]

    async def attempt(self, attempt: AttemptId) -> Attempt:
        task, _, _ = attempt.rpartition("-")
        for known in (await self.task(TaskId(task))).attempts:
            if known.id == attempt:
                return known
        raise UnknownJob(f"there is no attempt {attempt}")

    async def replay(self, task: TaskId, number: int | None) -> Replay:
        job, found = await self._with_tasks(job_of(task)), await self.task(task)
        records = b""
        if isinstance(found.origin, BadRecordRange):
            records = await packed_records(found.origin, self._ports.bad_records)
        return replay_of(job, found, number, records)

    async def mapper_to_redrive(self, job: JobId, *, remap: bool) -> ProgramRef:
        check_redrivable(self.job(job))
        found = await self._with_tasks(job)
        failed = mapper_to_replace(found)
        if not remap:
            await check_map_outputs(found, self._ports.intermediate)
        return failed

    async def _with_tasks(self, job: JobId) -> Job:
        found = self.job(job)
        return found if self._state.has_tasks(found) else await self._past_tasks.job(job)

    def counters(self, job: JobId) -> Counters:
        total: Counters = {}
        add_counters(total, self.job(job).counters, 1)
        queue = self._state.queues.get(job)
        for task, attempt in queue.running.values() if queue else ():
            if attempt is next(other for other in task.attempts if other.status is AttemptStatus.RUNNING):
                add_counters(total, attempt.counters or {}, 1)  # of a task that is backed up, one attempt's
        return total

    def timings(self, job: JobId) -> dict[TaskKind, Timings]:
        found = self.job(job)
        totals = {TaskKind.MAP: found.map_timings, TaskKind.REDUCE: found.reduce_timings}
        queue = self._state.queues.get(job)
        for task, attempt in queue.running.values() if queue else ():
            phase = TaskKind.REDUCE if task.kind is TaskKind.REDUCE else TaskKind.MAP  # a sampler runs the mapper
            totals[phase] = totals[phase].plus(attempt.timings)
        return totals

    async def bad_records(self, job: JobId, *, after: int = 0, limit: int = 100) -> Sequence[JobBadRecord]:
        return await listed(self._ports.bad_records, await self._with_tasks(job), after=after, limit=limit)

    async def bad_record(self, job: JobId, number: int) -> JobBadRecord:
        return await whole(self._ports.bad_records, await self._with_tasks(job), number)

    async def explanation(self, job: JobId) -> Sequence[Line]:
        return await self._explainer.explain(job)

    def workers(self) -> Sequence[Worker]:
        return list(self._state.workers.values())

    def artifact_in_use(self, digest: str) -> bool:
        return any(not self._state.jobs[job].status.ended for job in self._state.artifact_uses.get(digest, ()))

    def artifact_needed(self, digest: str) -> bool:
        return digest in self._state.artifact_uses

    def artifact_users(self, digest: str) -> frozenset[str]:
        return frozenset(self._state.jobs[job].spec.user for job in self._state.artifact_uses.get(digest, ()))

    def events(self, job: JobId, *, after: int = 0) -> AsyncIterator[JobEvent]:
        self.job(job)
        return self._feed.follow(job, after)

    def changes(self) -> AsyncIterator[Changes]:
        return self._changes.follow()
