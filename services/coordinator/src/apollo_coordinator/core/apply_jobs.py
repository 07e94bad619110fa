"""How facts about jobs as a whole change the state."""

import heapq
from dataclasses import replace

from apollo_common.ids import JobId, map_task_id, reduce_task_id, sample_task_id
from apollo_coordinator.core import facts
from apollo_coordinator.core.admission import output_key
from apollo_coordinator.core.adoption import AdoptedOutput, Adoption
from apollo_coordinator.core.apply_attempts import end_attempt
from apollo_coordinator.core.indexes import (
    forget_artifacts,
    move_task,
    note_artifacts,
    note_cleanable,
    refresh,
    trouble,
    trouble_over,
)
from apollo_coordinator.core.model import (
    AttemptOutput,
    AttemptStatus,
    Job,
    JobStatus,
    Task,
    TaskKind,
    TaskStatus,
    add_counters,
)
from apollo_coordinator.core.plan import beginning
from apollo_coordinator.core.state import JobQueue, State, new_queue
from apollo_coordinator.core.summary import restored, task_totals
from apollo_coordinator.core.transitions import JOB, moved


def job_accepted(state: State, fact: facts.JobAccepted) -> None:
    job = Job(fact.job, fact.spec, created_ms=fact.at_ms)
    state.jobs[job.id] = job
    state.queues[job.id] = new_queue(job, state.jobs_created, state.limits)
    state.jobs_created += 1
    state.unfinished_jobs += 1
    state.queued[job.id] = None
    state.outputs[output_key(fact.spec)] = job.id
    note_artifacts(state, job)
    if fact.spec.idempotency_key:
        state.idempotency[fact.spec.idempotency_key] = job.id
    if fact.spec.earlier_job:
        _hold(state, JobId(fact.spec.earlier_job))


def _hold(state: State, job: JobId) -> None:
    """A redrive needs what the job has left: it is not forgotten meanwhile."""
    state.redriven[job] = state.redriven.get(job, 0) + 1
    if state.redriven[job] == 1:
        state.ended = [entry for entry in state.ended if entry[1] != job]
        heapq.heapify(state.ended)


def _let_go(state: State, job: JobId) -> None:
    state.redriven[job] -= 1
    if not state.redriven[job]:
        del state.redriven[job]
        if job in state.jobs and job not in state.queues:  # it is not while the redrive's facts alone are folded
            _note_ended(state, state.jobs[job])


def job_started(state: State, fact: facts.JobStarted) -> None:
    job = state.jobs[fact.job]
    job.status = moved(JOB, job.status, fact, JobStatus.RUNNING, job)
    job.started_ms = fact.at_ms
    state.queues[job.id].advanced_ms = fact.at_ms
    state.running_jobs += 1
    if job.spec.job_timeout_seconds:
        state.deadlines[job.id] = fact.at_ms + job.spec.job_timeout_seconds * 1000
    del state.queued[job.id]


def maps_planned(state: State, fact: facts.MapsPlanned) -> None:
    job = state.jobs[fact.job]
    job.status = moved(JOB, job.status, fact, JobStatus.RUNNING, job)
    job.planned = True
    job.planned_ms = fact.at_ms
    job.maps = [
        Task(map_task_id(job.id, index), index, TaskKind.MAP, split=split, ready_ms=fact.at_ms)
        for index, split in enumerate(fact.splits)
    ]
    job.reduces = [
        Task(reduce_task_id(job.id, index), index, TaskKind.REDUCE, ready_ms=fact.at_ms)
        for index in range(job.spec.n_reducers)
    ]
    job.samplers = [
        Task(
            sample_task_id(job.id, index),
            index,
            TaskKind.SAMPLE,
            split=beginning(fact.splits[split]),
            ready_ms=fact.at_ms,
        )
        for index, split in enumerate(fact.sampled)
    ]
    queue = state.queues[job.id]
    if fact.adoption is not None:
        _adopt(queue, fact.adoption, fact.at_ms)
    queue.advanced_ms = fact.at_ms
    queue.pending_samplers = list(range(len(job.samplers)))
    queue.pending_maps = [task.index for task in job.maps if not task.adopted]
    queue.pending_reduces = list(range(len(job.reduces)))
    state.running_tasks += len(job.maps) + len(job.reduces)
    state.unscaled[job.id] = None
    refresh(state, queue)


def _adopt(queue: JobQueue, adoption: Adoption, now_ms: int) -> None:
    job = queue.job
    job.splitters = adoption.splitters
    job.adopted_counters = adoption.counters
    add_counters(job.counters, adoption.counters, 1)
    for task, origin in zip(job.maps, adoption.origins, strict=True):
        task.origin = origin
        if isinstance(origin, AdoptedOutput):
            task.status = TaskStatus.COMPLETED
            task.ended_ms = now_ms
            task.output = AttemptOutput(origin.path, size_bytes=origin.size_bytes, records=origin.records)
            job.map_tally.completed += 1
    if queue.maps_done:
        queue.reduces_ready_ms = now_ms


def splitters_chosen(state: State, fact: facts.SplittersChosen) -> None:
    job = state.jobs[fact.job]
    job.status = moved(JOB, job.status, fact, JobStatus.RUNNING, job)
    job.splitters = fact.splitters
    for task in job.samplers:
        task.output = replace(task.output, sample="") if task.output is not None else None
    for task in job.maps:
        task.ready_ms = fact.at_ms
    queue = state.queues[job.id]
    queue.advanced_ms = fact.at_ms
    refresh(state, queue)


def commit_started(state: State, fact: facts.CommitStarted) -> None:
    job = state.jobs[fact.job]
    job.status = moved(JOB, job.status, fact, JobStatus.COMMITTING, job)
    job.committing_ms = fact.at_ms
    state.queues[job.id].advanced_ms = fact.at_ms
    state.deadlines.pop(job.id, None)


def job_ended(state: State, fact: facts.JobEnded) -> None:
    job = state.jobs[fact.job]
    queue = state.queues[job.id]
    was_queued = job.status is JobStatus.QUEUED
    job.status = moved(JOB, job.status, fact, fact.status, job)
    job.ended_ms = fact.at_ms
    job.failure = fact.failure
    trouble_over(state, job.id)
    for running in queue.running.values():
        end_attempt(running.task, running.attempt, AttemptStatus.CANCELLED, fact)
    queue.running.clear()
    queue.running_backups = 0
    culprit = fact.failure.task if fact.failure else ""
    for task in job.tasks:
        if task.status is not TaskStatus.COMPLETED:
            ended = TaskStatus.FAILED if task.id == culprit else TaskStatus.STOPPED
            move_task(job, task, fact, ended)
            task.ended_ms = fact.at_ms
    state.unfinished_jobs -= 1
    state.deadlines.pop(job.id, None)
    if was_queued:
        del state.queued[job.id]
    else:
        state.running_jobs -= 1
        state.running_tasks -= len(job.maps) + len(job.reduces)
    queue.pending_samplers.clear()
    queue.pending_maps.clear()
    queue.pending_reduces.clear()
    refresh(state, queue)
    note_cleanable(state, queue)


def cleanup_started(state: State, fact: facts.CleanUpStarted) -> None:
    state.queues[fact.job].cleaning = True
    state.cleanable.pop(fact.job, None)
    state.unscaled[fact.job] = None


def job_cleaned(state: State, fact: facts.JobCleaned) -> None:
    queue = state.queues.pop(fact.job)
    if state.outputs.get(output_key(queue.job.spec)) == fact.job:
        del state.outputs[output_key(queue.job.spec)]
    state.cleanable.pop(fact.job, None)
    state.unscaled.pop(fact.job, None)
    state.troubled.pop(fact.job, None)
    _note_ended(state, queue.job)
    if queue.job.spec.earlier_job:
        _let_go(state, JobId(queue.job.spec.earlier_job))


def job_restored(state: State, fact: facts.JobRestored) -> None:
    job = restored(fact.summary)
    state.jobs[job.id] = job
    state.jobs_created += 1
    if job.spec.idempotency_key:
        state.idempotency[job.spec.idempotency_key] = job.id
    note_artifacts(state, job)
    _note_ended(state, job)


def _note_ended(state: State, job: Job) -> None:
    if job.id not in state.redriven:
        heapq.heappush(state.ended, (job.ended_ms or 0, job.id))


def job_archived(state: State, fact: facts.JobArchived) -> None:
    job = state.jobs[fact.job]
    job.totals = task_totals(job)
    state.at_hand[job.id] = len(job.maps) + len(job.reduces)
    state.tasks_at_hand += state.at_hand[job.id]


def tasks_dropped(state: State, fact: facts.TasksDropped) -> None:
    job = state.jobs[fact.job]
    state.tasks_at_hand -= state.at_hand.pop(job.id)
    job.samplers, job.maps, job.reduces = [], [], []
    job.splitters = None


def job_forgotten(state: State, fact: facts.JobForgotten) -> None:
    job = state.jobs.pop(fact.job)
    forget_artifacts(state, job)
    heapq.heappop(state.ended)
    state.tasks_at_hand -= state.at_hand.pop(job.id, 0)
    if state.idempotency.get(job.spec.idempotency_key) == fact.job:
        del state.idempotency[job.spec.idempotency_key]


def trouble_seen(state: State, fact: facts.TroubleSeen) -> None:
    for job in list(state.queues) if fact.job is None else [fact.job]:
        if job in state.queues and not state.jobs[job].status.ended:
            trouble(state, job, fact.message)


def trouble_that_is_over(state: State, fact: facts.TroubleOver) -> None:
    for job in list(state.troubled):
        if state.jobs[job].trouble == fact.message:
            trouble_over(state, job)


def pool_scaled(state: State, fact: facts.PoolScaled) -> None:
    queue = state.queues.get(fact.job)
    if queue is not None:
        queue.scaled_workers = fact.workers
    state.unscaled.pop(fact.job, None)
