"""The job service on top of the core and the ports."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import cast

from apollo_common.errors import ApolloError, InvalidSetting, JobEnded, VolumeFull
from apollo_common.ids import AttemptId, JobId, WorkerId, job_of, new_job_id
from apollo_common.lifecycle import TaskOwner
from apollo_common.logging import get_logger
from apollo_common.volumes import Volume, shortage
from apollo_coordinator.core import admission, events, facts
from apollo_coordinator.core.admission import output_key
from apollo_coordinator.core.apply import apply
from apollo_coordinator.core.model import (
    Job,
    JobStatus,
)
from apollo_coordinator.core.outcome import Outcome
from apollo_coordinator.core.scheduler import decide, step
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.engine.changes import jobs_in_trouble
from apollo_coordinator.engine.executor import Executor
from apollo_coordinator.engine.fact_log import log_causes, log_fact
from apollo_coordinator.engine.observer import UNOBSERVED, EngineObserver
from apollo_coordinator.engine.orders import named_secrets
from apollo_coordinator.engine.ports import EnginePorts
from apollo_coordinator.engine.queries import JobQueries
from apollo_coordinator.engine.recorder import Recorder
from apollo_coordinator.engine.recovery import recover
from apollo_coordinator.engine.settings import EngineSettings
from apollo_coordinator.engine.sweep import Sweeper
from apollo_coordinator.jobs import Submitted
from apollo_coordinator.ports import (
    NO_SECRETS,
    JobSecrets,
    PoolBroken,
    PoolEvent,
    PoolTrouble,
    StoredFact,
    WorkerDraining,
    WorkerGone,
    WorkerUp,
)

_log = get_logger(__name__)


class Engine(JobQueries):
    """See apollo_coordinator.jobs.JobService. `start` before use, `close` at the end.

    Closing is no different from a crash for the jobs: they go on when another engine starts on the same journal.
    """

    def __init__(
        self,
        ports: EnginePorts,
        settings: EngineSettings | None = None,
        *,
        observer: EngineObserver = UNOBSERVED,
        jitter: random.Random | None = None,
        make_job_id: Callable[[], JobId] = new_job_id,
    ) -> None:
        super().__init__(ports, settings or EngineSettings())
        self._make_job_id = make_job_id
        self._observer = observer
        jitter = jitter or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._executor = Executor(
            ports,
            self._settings,
            self._state,
            self.post,
            jitter,
            last_event=self._feed.last_event,
            with_tasks=self._with_tasks,
        )
        self._recorder = Recorder(
            ports.journal,
            backoff=self._settings.journal_backoff,
            jitter=jitter,
            observer=observer,
            dispatch=self._executor.dispatch,
            recorded=self._on_recorded,
            stalled=lambda why: self.post(events.JournalStalled(why)),
            written=lambda why: self.post(events.JournalWritten(why)),
        )
        self._admitting = asyncio.Lock()
        self._arriving: JobId | None = None  # what it brings is kept before it is there itself
        self._greetings: dict[WorkerId, asyncio.Task[None]] = {}
        self._tasks = TaskOwner(self._on_task_failure)
        self._submissions = TaskOwner(lambda _name, _error: None)  # who submits hears of it
        self._writer: asyncio.Task[None] | None = None
        self._recovered = False
        self._open = False
        self._broken = False
        self._pool_broken = ""  # why it will have no workers
        self._over = asyncio.Event()  # set when either is so
        self._cleaned = asyncio.Event()  # set when the next job has been cleaned up

    @property
    def journal_stalled(self) -> bool:
        """Whether the journal cannot be written."""
        return self._recorder.stalled

    @property
    def journal_waiting_facts(self) -> int:
        """How many facts are not in the journal yet."""
        return self._recorder.waiting_facts

    @property
    def journal_append_age_seconds(self) -> float:
        """How long the journal has been at what it writes now; 0 while it writes nothing."""
        return self._recorder.append_age_seconds

    # Lifetime

    async def start(self) -> None:
        """Fold the journal, take up what was going on, then let workers come."""
        await self._recover()
        await self._ports.secrets.sweep(self._keeps_secrets)  # what a crash has left
        self._recovered = True
        self._open = True
        self._writer = self._tasks.spawn(self._recorder.run(), name="journal writer")
        self._tasks.spawn(self._tick(), name="scheduler clock")
        self.post(events.Restarted())
        sweeper = Sweeper(
            self._ports,
            self._state,
            keeps_secrets=self._keeps_secrets,
            every_seconds=self._settings.sweep_seconds,
        )
        self._tasks.spawn(sweeper.run(), name="sweep")
        await self._ports.pool.start(self._on_pool_event)
        if self._ports.pool.adopts_at_start:
            self._tasks.spawn(self._greet_adopted(), name="greet adopted workers")
        else:
            self.post(events.PoolStarted())

    async def close(self) -> None:
        """Stop working. The ports stay open: who made them closes them. A close that is cancelled ends all, too."""
        self._open = False
        self._recorder.finish()
        async with AsyncExitStack() as closing:  # the last goes first
            closing.push_async_callback(self._tasks.close)
            closing.push_async_callback(self._journal_the_rest)
            closing.push_async_callback(self._executor.close)
            closing.push_async_callback(self._submissions.close)

    async def _journal_the_rest(self) -> None:
        if self._writer is not None and not self._recorder.stalled:
            await asyncio.wait({self._writer}, timeout=self._settings.close_seconds)

    async def wait_broken(self) -> None:
        """Return when the engine cannot go on. The process should end and start anew: the journal is sound.

        InvalidSetting when it could go on, but will have no workers: they refuse their settings.
        """
        await self._over.wait()
        if not self._broken:
            raise InvalidSetting(self._pool_broken)

    async def wind_up(self) -> None:
        """Stop all jobs, and return when each has ended and is cleaned up, or when the engine is broken.

        A commit that has begun is finished.
        """
        for job in list(self._state.queues):
            self.post(events.StopRequested(job))
        while self._state.queues and not self._broken:
            await self._cleaned.wait()

    def _on_task_failure(self, name: str, error: BaseException) -> None:
        _log.critical("the engine stops", task_name=name, exc_info=error)
        self._open = False
        self._broken = True
        self._over.set()
        self._wake_waiters()

    def _wake_waiters(self) -> None:
        self._cleaned.set()
        self._cleaned = asyncio.Event()

    async def _recover(self) -> None:
        def folded(fact: facts.DurableFact, stored: StoredFact) -> None:
            self._recorder.resume_job(stored)
            self._feed.recorded(fact, stored.job_sequence)

        await recover(
            self._ports.journal,
            self._state,
            restored=lambda summary: self._feed.ended(summary.job, summary.last_event),
            folded=folded,
        )
        self._recorder.resume(await self._ports.journal.last_sequence())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._settings.tick_ms / 1000)
            self.post(events.Tick())

    # Events

    def post(self, event: events.Event) -> None:
        """Let the core decide, queue its facts for the journal and its commands behind them."""
        if not self._open:
            return
        try:
            outcome = step(self._state, event, self._ports.clock.now_ms())
        except Exception as error:
            self._on_task_failure(type(event).__name__, error)
            raise
        self._settle(event, outcome)

    def _settle(self, event: events.Event, outcome: Outcome) -> None:
        self._recorder.record(outcome.facts, outcome.commands)
        self._observer.handled(event, outcome.facts, self._state)
        for fact in outcome.facts:
            self._changes.noted(fact)
            log_causes(fact, self._state.jobs)
            if isinstance(fact, facts.ProgressSeen | facts.AttemptFailed):  # a full volume shows as the job's trouble
                self._feed.progressed(job_of(fact.attempt))
            elif isinstance(fact, facts.TroubleSeen | facts.TroubleOver):
                for job in jobs_in_trouble(fact, self._state):
                    self._feed.progressed(job)
            elif isinstance(fact, facts.JobCleaned):
                self._wake_waiters()
            elif isinstance(fact, facts.JobForgotten):
                self._feed.forget(fact.job)
                self._past_tasks.forget(fact.job)
                self._recorder.forget(fact.job)
            elif isinstance(fact, facts.WorkerSuspected) and fact.quarantined:
                _log.warning("worker quarantined", worker=fact.worker, attempt=fact.attempt, lost=fact.lost)
            elif isinstance(fact, facts.WorkerRemoved):
                self._executor.worker_gone(fact.worker)

    def _on_recorded(self, fact: facts.DurableFact, job_sequence: int) -> None:
        self._feed.recorded(fact, job_sequence)
        log_fact(fact)

    def _on_pool_event(self, event: PoolEvent) -> None:
        if not self._open:
            return
        match event:
            case WorkerUp():
                self._greetings[event.worker] = self._tasks.spawn(self._greet(event), name=f"greet {event.worker}")
            case WorkerDraining(worker, reason):
                _log.info("worker drains", worker=worker, reason=reason)
                self._drain(worker)
            case WorkerGone(worker, reason, fault):
                greeting = self._greetings.pop(worker, None)
                if greeting is not None:
                    greeting.cancel()
                self.post(events.WorkerLeft(worker, reason, fault))
            case PoolTrouble(job, message):
                _log.warning("the pool has trouble", job=job, error=message)
                self.post(events.PoolTroubled(job, message))
            case PoolBroken(message):
                _log.error("the pool will have no workers", error=message)
                self._pool_broken = message
                self._over.set()

    def _drain(self, worker: WorkerId) -> None:
        """The core has to know the worker first."""
        greeting = self._greetings.get(worker)
        if greeting is None:
            self.post(events.WorkerDraining(worker))
        else:
            greeting.add_done_callback(lambda _: self.post(events.WorkerDraining(worker)))

    async def _greet_adopted(self) -> None:
        """Of a pool that has announced all that will come back: they join, and who has not by then is gone."""
        if self._greetings:
            await asyncio.wait(self._greetings.values())
        self.post(events.PoolStarted(all_back=True))

    async def _greet(self, up: WorkerUp) -> None:
        """Ask a worker what it is doing before it gets work."""
        try:
            described = await self._ports.pool.link(up.worker).describe()
        except ApolloError as error:
            _log.warning("worker does not answer", worker=up.worker, reason=error.reason, error=str(error))
            await self._ports.pool.release(up.worker, str(error))
            return
        finally:
            self._greetings.pop(up.worker, None)
        attempt = AttemptId(described.attempt_id) if described.attempt_id else None
        self.post(
            events.WorkerJoined(
                up.worker, up.address, up.job, up.pod_name, attempt, described.draining, described.sandbox
            )
        )

    # What users want

    @property
    def recovered(self) -> bool:
        return self._recovered

    @property
    def ready(self) -> bool:
        return self._open and not self.full

    @property
    def full(self) -> bool:
        return self._recorder.stalled or not self._ports.journal.has_room()

    def submitted(self, idempotency_key: str, body_digest: str) -> Job | None:
        return admission.submitted_before(self._state, idempotency_key, body_digest)

    async def submit(self, spec: JobSpec, secrets: JobSecrets | None) -> Submitted:
        before = self.submitted(spec.idempotency_key, spec.body_digest)
        if before is not None:
            return Submitted(before, created=False)
        await self._released(spec)
        self._admit(spec)
        access = await named_secrets(spec, self._ports.credentials) or secrets or NO_SECRETS
        if spec.reads_input:
            if not spec.remap_of:  # else the plan tells whether all that the earlier job read is there
                await self._ports.planner.check_input(spec, access.input_access)
            await self._ports.planner.check_apart(spec, access)
        await self._ports.committer.check_free(spec, access.output_access)
        # Not undone when the caller goes away: half a submission must not stay.
        return await asyncio.shield(self._submissions.spawn(self._take(spec, secrets), name="submit"))

    async def _released(self, spec: JobSpec) -> None:
        """Wait, for a bounded time, for the clean-up of a job that has ended at the same output."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.release_seconds):
                while (holder := self._state.outputs.get(output_key(spec))) and self._state.jobs[holder].status.ended:
                    await self._cleaned.wait()

    def _admit(self, spec: JobSpec) -> None:
        if not self.ready:
            raise VolumeFull(
                f"no job is taken now: {shortage(Volume.COORDINATOR)}, then submit again", volume=Volume.COORDINATOR
            )
        admission.check(self._state, spec)

    async def _take(self, spec: JobSpec, secrets: JobSecrets | None) -> Submitted:
        async with self._admitting:  # what is checked still holds when the job is there
            before = self.submitted(spec.idempotency_key, spec.body_digest)
            if before is not None:
                return Submitted(before, created=False)
            self._admit(spec)
            event = events.JobSubmitted(self._make_job_id(), replace(spec, brings_credentials=secrets is not None))
            self._arriving = event.job
            try:
                if secrets is not None:
                    await self._ports.secrets.put(event.job, secrets)
                outcome = decide(self._state, event, self._ports.clock.now_ms())
                (accepted,) = outcome.facts
                await self._recorder.record_first(cast(facts.JobAccepted, accepted))
            except ApolloError:
                await self._forget_secrets(event.job)
                raise
            finally:
                self._arriving = None
            apply(self._state, accepted)
            self._changes.noted(accepted)
            self._observer.submitted()
            self.post(events.Tick())
            return Submitted(self._state.jobs[event.job], created=True)

    def _keeps_secrets(self, job: JobId) -> bool:
        return job in self._state.queues or job == self._arriving

    async def _forget_secrets(self, job: JobId) -> None:
        """Of a job that there will not be; also those whose keeping nobody has confirmed."""
        try:
            await self._ports.secrets.delete(job)
        except ApolloError as error:
            _log.warning("credentials of a refused job stay until the next sweep", job=job, error=str(error))

    async def stop(self, job: JobId) -> Job:
        """See JobService."""
        found = self.job(job)
        if found.status is JobStatus.COMMITTING and not found.trouble:
            raise JobEnded(f"job {job} is publishing its output and can no longer be stopped")
        if found.status.ended and found.status is not JobStatus.STOPPED:
            raise JobEnded(f"job {job} has {found.status}")
        self.post(events.StopRequested(job))
        await self._recorder.caught_up()
        return found
