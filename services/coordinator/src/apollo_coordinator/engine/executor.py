"""Commands become calls of ports, each in a task of its own; what comes of them is posted as an event."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from apollo_common.backoff import Backoff
from apollo_common.errors import ApolloError, TemporaryError
from apollo_common.ids import JobId, WorkerId, job_of
from apollo_common.lifecycle import TaskOwner, cancel_and_wait
from apollo_common.logging import get_logger
from apollo_coordinator.core import commands, events
from apollo_coordinator.core.bad_records import quarantining
from apollo_coordinator.core.codec import encode_summary
from apollo_coordinator.core.model import Job
from apollo_coordinator.core.state import State, locate
from apollo_coordinator.core.summary import summarise
from apollo_coordinator.engine.attempts import AttemptRunner, Post
from apollo_coordinator.engine.orders import OrderBook
from apollo_coordinator.engine.ports import EnginePorts, failure_from
from apollo_coordinator.engine.quarantine import Quarantine
from apollo_coordinator.engine.redrives import planned, splits_again
from apollo_coordinator.engine.retry import retried
from apollo_coordinator.engine.settings import EngineSettings
from apollo_coordinator.order import OutputTarget
from apollo_coordinator.ports import JobSecrets

_log = get_logger(__name__)
_Result = TypeVar("_Result")


class Executor:
    """Carries out commands. Attempts are bounded by the workers there are, all else by named limits."""

    def __init__(
        self,
        ports: EnginePorts,
        settings: EngineSettings,
        state: State,
        post: Post,
        jitter: random.Random,
        *,
        last_event: Callable[[JobId], int],
        with_tasks: Callable[[JobId], Awaitable[Job]],
    ) -> None:
        """`last_event`: the number of the event that ended a job. `with_tasks`: a job that has its tasks."""
        self._ports = ports
        self._settings = settings
        self._state = state
        self._post = post
        self._jitter = jitter
        self._last_event = last_event
        quarantine = Quarantine(ports.bad_records, state, post, settings, jitter)
        self._with_tasks = with_tasks
        self._orders = OrderBook(
            state, ports.secrets, ports.bad_records, ports.intermediate_place, credentials=ports.credentials
        )
        self._attempts = AttemptRunner(ports, self._orders, quarantine, post, settings, jitter)
        self._streams: dict[WorkerId, asyncio.Task[None]] = {}
        self._stages: dict[JobId, asyncio.Task[None]] = {}  # the planning of a job, later its commit
        self._storage_slots = asyncio.Semaphore(settings.max_parallel_storage_calls)
        self._worker_slots = asyncio.Semaphore(settings.max_parallel_worker_calls)
        self._wanted: dict[JobId, int] = {}
        self._scaling: set[JobId] = set()
        self._tasks = TaskOwner()
        self._work: dict[type, Callable[[Any], Coroutine[Any, Any, None]]] = {
            commands.OpenOutput: self._open_output,
            commands.CancelAttempt: self._cancel_attempt,
            commands.DiscardPart: self._discard_part,
            commands.CleanUp: self._clean_up,
            commands.ArchiveJob: self._archive_job,
            commands.ScalePool: self._scale_pool,
            commands.ReleaseWorker: self._release_worker,
            commands.ForgetJob: self._forget_job,
        }

    def dispatch(self, command: commands.Command) -> None:
        match command:
            case commands.RunAttempt(attempt, worker):
                self._stream(worker, self._attempts.run(attempt, worker))
            case commands.AttachAttempt(attempt, worker):
                self._stream(worker, self._attempts.attach(attempt, worker))
            case commands.PlanInput(job):
                self._stages[job] = self._tasks.spawn(self._plan_input(job), name=f"plan of {job}")
            case commands.CommitOutput(job):
                self._stages[job] = self._tasks.spawn(self._commit_output(job), name=f"commit of {job}")
            case _:
                self._tasks.spawn(self._work[type(command)](command), name=type(command).__name__)

    def worker_gone(self, worker: WorkerId) -> None:
        """End the stream of a worker that the pool has given up."""
        self._attempts.forget(worker)
        stream = self._streams.pop(worker, None)
        if stream is not None:
            stream.cancel()

    async def close(self) -> None:
        async with AsyncExitStack() as closing:  # the last goes first
            closing.push_async_callback(self._orders.close)
            closing.push_async_callback(self._tasks.close)

    def _stream(self, worker: WorkerId, stream: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.spawn(stream, name=f"attempt on {worker}")
        self._streams[worker] = task
        task.add_done_callback(lambda ended: self._stream_ended(worker, ended))

    def _stream_ended(self, worker: WorkerId, ended: asyncio.Task[None]) -> None:
        if self._streams.get(worker) is ended:
            del self._streams[worker]

    # Storage

    async def _plan_input(self, job_id: JobId) -> None:
        job = self._state.jobs[job_id]
        try:
            await self._await_access(job.id)
            plan = await self._with_storage(lambda: self._plan(job), self._settings.plan_backoff, job.id)
        except ApolloError as error:
            self._post(events.PlanFailed(job.id, failure_from(error)))
        else:
            self._post(plan)

    async def _plan(self, job: Job) -> events.InputPlanned:
        if job.spec.redrive_of:
            earlier = await self._with_tasks(JobId(job.spec.redrive_of))
            return events.InputPlanned(job.id, *await planned(earlier, self._ports.bad_records))
        access = (await self._orders.access(job.id)).input_access
        if job.spec.remap_of:
            earlier = await self._with_tasks(JobId(job.spec.remap_of))
            return events.InputPlanned(job.id, await splits_again(earlier, job.spec, self._ports.planner, access))
        return events.InputPlanned(job.id, tuple(await self._ports.planner.plan(job.spec, access)))

    async def _open_output(self, command: commands.OpenOutput) -> None:
        attempt, worker = command.attempt, command.worker
        job = self._state.jobs[job_of(attempt)]
        try:
            await self._await_access(job.id, needed=lambda: self._state.running(attempt) is not None)
            running = self._state.running(attempt)
            if running is None:
                self._post(events.AttemptCancelled(attempt, worker))
                return
            target = await self._with_storage(
                self._with_access(
                    job.id,
                    lambda access: self._ports.committer.open_part(job, running.task, attempt, access.output_access),
                ),
                self._settings.open_backoff,
                job.id,
            )
        except ApolloError as error:
            self._post(events.OutputOpenFailed(attempt, worker, failure_from(error)))
        else:
            self._post(events.OutputOpened(attempt, worker, target.url, target.upload_id))

    async def _discard_part(self, command: commands.DiscardPart) -> None:
        """Once: what stays goes with the rest when the job has ended."""
        place = locate(command.attempt)
        job = self._state.jobs.get(place.job)
        if job is None or place.job not in self._state.queues:
            return
        attempt = job.tasks_of(place.kind)[place.task_index].attempts[place.attempt_number]
        part = OutputTarget(attempt.output_url, attempt.upload_id)
        try:
            async with self._storage_slots:
                access = await self._orders.access(job.id)
                await self._ports.committer.discard_part(job, part, access.output_access)
        except ApolloError as error:
            _log.info("a failed attempt's upload stays for now", attempt=attempt.id, error=str(error))

    async def _commit_output(self, job_id: JobId) -> None:
        job = self._state.jobs[job_id]
        try:
            await self._with_storage(
                self._with_access(job.id, lambda access: self._ports.committer.commit(job, access.output_access)),
                self._settings.commit_backoff,
                job.id,
                delayed=lambda error: self._post(events.CommitDelayed(job.id, str(error))),
            )
        except ApolloError as error:
            self._post(events.CommitFailed(job.id, failure_from(error)))
        else:
            self._post(events.CommitFinished(job.id))

    async def _clean_up(self, command: commands.CleanUp) -> None:
        job = self._state.jobs[command.job]
        stage = self._stages.pop(job.id, None)
        if stage is not None:  # given up while it was in trouble; else it is over
            await cancel_and_wait(stage)
        steps: list[Callable[[], Awaitable[None]]] = [
            self._with_access(job.id, lambda access: self._ports.committer.discard(job, access.output_access)),
            lambda: self._ports.secrets.delete(job.id),
            lambda: self._ports.bad_records.retain(job.id, [attempt for _, attempt in quarantining(job)]),
        ]
        if not job.spec.keep_intermediate:
            steps.append(lambda: self._ports.intermediate.remove(job.id))
        for step in steps:
            try:
                await self._with_storage(step, self._settings.cleanup_backoff, job.id)
            except ApolloError as error:
                _log.warning("an ended job leaves something behind", job=job.id, reason=error.reason, error=str(error))
        self._orders.forget(job.id)
        self._post(events.CleanUpFinished(job.id))

    async def _archive_job(self, command: commands.ArchiveJob) -> None:
        job = self._state.jobs.get(command.job)
        if job is None:  # forgotten already
            return
        body, last = encode_summary(summarise(job)), self._last_event(job.id)
        try:
            await self._with_storage(
                lambda: self._ports.journal.archive(job.id, last, body), self._settings.cleanup_backoff, job.id
            )
        except ApolloError as error:
            _log.warning("an ended job is archived after a restart only", job=job.id, error=str(error))
        else:
            self._post(events.JobArchived(job.id))

    async def _forget_job(self, command: commands.ForgetJob) -> None:
        """What stays is forgotten after the next restart: the journal goes last, and still knows the job until then."""
        steps: list[Callable[[], Awaitable[None]]] = [
            lambda: self._ports.intermediate.remove(command.job),  # that the job asked to keep
            lambda: self._ports.logs.forget(command.job),
            lambda: self._ports.bad_records.forget(command.job),
            lambda: self._ports.journal.forget(command.job),
        ]
        try:
            for step in steps:
                await self._with_storage(step, self._settings.cleanup_backoff, command.job)
        except ApolloError as error:
            _log.warning("an expired job is still kept", job=command.job, reason=error.reason, error=str(error))

    async def _await_access(self, job: JobId, *, needed: Callable[[], bool] = lambda: True) -> None:
        """Have the job's credentials at hand, however long that takes: who keeps them is away, the job did nothing.

        Without them once nobody needs them any more.
        """

        async def at_hand() -> None:
            if needed():
                await self._orders.access(job)

        await self._with_storage(
            at_hand,
            self._settings.access_backoff,
            job,
            delayed=lambda error: self._post(events.AccessDelayed(job, str(error))),
        )

    def _with_access(
        self, job: JobId, work: Callable[[JobSecrets], Awaitable[_Result]]
    ) -> Callable[[], Awaitable[_Result]]:
        async def with_access() -> _Result:
            return await work(await self._orders.access(job))

        return with_access

    async def _with_storage(
        self,
        work: Callable[[], Awaitable[_Result]],
        backoff: Backoff,
        job: JobId,
        *,
        delayed: Callable[[TemporaryError], None] = lambda _error: None,
    ) -> _Result:
        """The result of `work`. Raises ApolloError only: after any other error the job would wait for ever."""

        async def in_turn() -> _Result:
            async with self._storage_slots:
                return await work()

        try:
            return await retried(in_turn, backoff, self._jitter, what=f"storage of job {job}", delayed=delayed)
        except ApolloError:
            raise
        except Exception:  # noqa: BLE001 - a defect costs one job, not its end
            _log.exception("storage met a defect of the coordinator", job=job)
            raise ApolloError("the coordinator met an internal error; its log has the details") from None

    # Workers

    async def _cancel_attempt(self, command: commands.CancelAttempt) -> None:
        try:
            async with self._worker_slots:
                await self._ports.pool.link(command.worker).cancel(command.attempt, command.reason)
        except ApolloError as error:  # its stream tells what became of it
            _log.info("cancel not delivered", attempt=command.attempt, reason=error.reason, error=str(error))

    async def _scale_pool(self, command: commands.ScalePool) -> None:
        """One call at a time for a job, with the newest number; a job that the pool refuses holds no other up."""
        job = command.job
        self._wanted[job] = command.workers
        if job in self._scaling:
            return
        self._scaling.add(job)
        try:
            while job in self._wanted:
                await retried(
                    lambda: self._scale(job),
                    self._settings.pool_backoff,
                    self._jitter,
                    what=f"workers of job {job}",
                    delayed=lambda error: self._post(events.PoolTroubled(job, str(error))),
                )
        finally:
            self._scaling.discard(job)

    async def _scale(self, job: JobId) -> None:
        async with self._worker_slots:
            workers, known = self._wanted[job], self._state.jobs.get(job)
            try:
                await self._ports.pool.scale(job, workers, known.spec.kubernetes if known else None)
            except TemporaryError:
                raise
            except ApolloError as error:  # refused for good; a number that has come meanwhile is asked for all the same
                self._post(events.PoolTroubled(job, str(error)))
        if self._wanted[job] == workers:
            del self._wanted[job]

    async def _release_worker(self, command: commands.ReleaseWorker) -> None:
        try:
            async with self._worker_slots:
                await self._ports.pool.release(command.worker, command.reason)
        except ApolloError as error:
            _log.warning("worker not released", worker=command.worker, reason=error.reason, error=str(error))
