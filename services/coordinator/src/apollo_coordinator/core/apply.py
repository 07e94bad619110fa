"""`apply(state, fact)`: the only place that changes the state. It decides nothing, so any core can fold any journal."""

import heapq
from collections.abc import Callable
from typing import Any

from apollo_common.errors import VolumeFull
from apollo_common.ids import AttemptId, JobId, job_of, map_task_id, reduce_task_id
from apollo_coordinator.core import facts
from apollo_coordinator.core.admission import output_key
from apollo_coordinator.core.indexes import (
    fire_timers,
    make_idle,
    note_cleanable,
    occupy,
    pause,
    put_off,
    refresh,
    refresh_bound,
)
from apollo_coordinator.core.model import (
    Attempt,
    AttemptStatus,
    Job,
    JobStatus,
    Task,
    TaskKind,
    TaskStatus,
    Worker,
    add_counters,
)
from apollo_coordinator.core.state import JobQueue, Running, State, locate, new_queue, task_of
from apollo_coordinator.core.summary import restored, task_totals
from apollo_coordinator.core.transitions import ATTEMPT, JOB, TASK, moved


def apply(state: State, fact: facts.Fact) -> None:
    """Change the state by one fact. InvalidTransition when it cannot follow."""
    _APPLY[type(fact)](state, fact)


# Jobs


def _job_accepted(state: State, fact: facts.JobAccepted) -> None:
    job = Job(fact.job, fact.spec, created_ms=fact.at_ms)
    state.jobs[job.id] = job
    state.queues[job.id] = new_queue(job, state.jobs_created, state.limits)
    state.jobs_created += 1
    state.unfinished_jobs += 1
    state.queued[job.id] = None
    state.outputs[output_key(fact.spec)] = job.id
    if fact.spec.idempotency_key:
        state.idempotency[fact.spec.idempotency_key] = job.id


def _job_started(state: State, fact: facts.JobStarted) -> None:
    job = state.jobs[fact.job]
    job.status = moved(JOB, job.status, fact, JobStatus.RUNNING, job)
    job.started_ms = fact.at_ms
    state.running_jobs += 1
    del state.queued[job.id]


def _maps_planned(state: State, fact: facts.MapsPlanned) -> None:
    job = state.jobs[fact.job]
    job.status = moved(JOB, job.status, fact, JobStatus.RUNNING, job)
    job.planned = True
    job.maps = [
        Task(map_task_id(job.id, index), index, TaskKind.MAP, split=split) for index, split in enumerate(fact.splits)
    ]
    job.reduces = [Task(reduce_task_id(job.id, index), index, TaskKind.REDUCE) for index in range(job.spec.n_reducers)]
    queue = state.queues[job.id]
    queue.pending_maps = list(range(len(job.maps)))
    queue.pending_reduces = list(range(len(job.reduces)))
    state.running_tasks += len(job.maps) + len(job.reduces)
    state.unscaled[job.id] = None
    refresh(state, queue)


def _commit_started(state: State, fact: facts.CommitStarted) -> None:
    job = state.jobs[fact.job]
    job.status = moved(JOB, job.status, fact, JobStatus.COMMITTING, job)


def _job_ended(state: State, fact: facts.JobEnded) -> None:
    job = state.jobs[fact.job]
    queue = state.queues[job.id]
    was_queued = job.status is JobStatus.QUEUED
    job.status = moved(JOB, job.status, fact, fact.status, job)
    job.ended_ms = fact.at_ms
    job.failure = fact.failure
    _trouble_over(state, job.id)
    for running in queue.running.values():
        _end_attempt(running.task, running.attempt, AttemptStatus.CANCELLED, fact)
    queue.running.clear()
    culprit = fact.failure.task if fact.failure else ""
    for task in (*job.maps, *job.reduces):
        if task.status is not TaskStatus.COMPLETED:
            ended = TaskStatus.FAILED if task.id == culprit else TaskStatus.STOPPED
            task.status = moved(TASK, task.status, fact, ended, task)
            task.ended_ms = fact.at_ms
    state.unfinished_jobs -= 1
    if was_queued:
        del state.queued[job.id]
    else:
        state.running_jobs -= 1
        state.running_tasks -= len(job.maps) + len(job.reduces)
    queue.pending_maps.clear()
    queue.pending_reduces.clear()
    refresh(state, queue)
    note_cleanable(state, queue)


def _cleanup_started(state: State, fact: facts.CleanUpStarted) -> None:
    state.queues[fact.job].cleaning = True
    state.cleanable.pop(fact.job, None)
    state.unscaled[fact.job] = None


def _job_cleaned(state: State, fact: facts.JobCleaned) -> None:
    queue = state.queues.pop(fact.job)
    if state.outputs.get(output_key(queue.job.spec)) == fact.job:
        del state.outputs[output_key(queue.job.spec)]
    state.cleanable.pop(fact.job, None)
    state.unscaled.pop(fact.job, None)
    state.troubled.pop(fact.job, None)
    _note_ended(state, queue.job)


def _job_restored(state: State, fact: facts.JobRestored) -> None:
    job = restored(fact.summary)
    state.jobs[job.id] = job
    state.jobs_created += 1
    if job.spec.idempotency_key:
        state.idempotency[job.spec.idempotency_key] = job.id
    _note_ended(state, job)


def _note_ended(state: State, job: Job) -> None:
    heapq.heappush(state.ended, (job.ended_ms or 0, job.id))


def _job_archived(state: State, fact: facts.JobArchived) -> None:
    job = state.jobs[fact.job]
    job.totals = task_totals(job)
    state.at_hand[job.id] = len(job.maps) + len(job.reduces)
    state.tasks_at_hand += state.at_hand[job.id]


def _tasks_dropped(state: State, fact: facts.TasksDropped) -> None:
    job = state.jobs[fact.job]
    state.tasks_at_hand -= state.at_hand.pop(job.id)
    job.maps, job.reduces = [], []


def _job_forgotten(state: State, fact: facts.JobForgotten) -> None:
    job = state.jobs.pop(fact.job)
    heapq.heappop(state.ended)
    state.tasks_at_hand -= state.at_hand.pop(job.id, 0)
    if state.idempotency.get(job.spec.idempotency_key) == fact.job:
        del state.idempotency[job.spec.idempotency_key]


# Attempts


def _attempt_started(state: State, fact: facts.AttemptStarted) -> None:
    queue, task = _task_of(state, fact.attempt)
    task.status = moved(TASK, task.status, fact, TaskStatus.IN_PROGRESS, task)
    if task.started_ms is None:
        task.started_ms = fact.at_ms
    attempt = Attempt(fact.attempt, fact.worker, fact.at_ms, heard_ms=fact.at_ms)
    task.attempts.append(attempt)
    queue.running[attempt.id] = Running(task, attempt)
    queue.outstanding[attempt.id] = fact.worker
    occupy(state, fact.worker, attempt.id)
    refresh(state, queue)


def _upload_opened(state: State, fact: facts.UploadOpened) -> None:
    attempt = _attempt_of(_task_of(state, fact.attempt)[1], fact.attempt)
    attempt.output_url = fact.url
    attempt.upload_id = fact.upload_id


def _attempt_accepted(state: State, fact: facts.AttemptAccepted) -> None:
    queue, task, attempt = _end_running(state, fact.attempt, AttemptStatus.SUCCEEDED, fact)
    task.status = moved(TASK, task.status, fact, TaskStatus.COMPLETED, task)
    attempt.input_bytes = attempt.input_bytes_total
    task.accepted = attempt.id
    task.output = fact.output
    task.counters = fact.counters
    task.ended_ms = fact.at_ms
    add_counters(queue.job.counters, fact.counters, 1)
    _trouble_over(state, queue.job.id)
    if task.kind is TaskKind.MAP:
        queue.accepted_maps += 1
        queue.map_outputs_version += 1
        if queue.maps_done:
            state.unscaled[queue.job.id] = None
    else:
        queue.accepted_reduces += 1
    refresh(state, queue)


def _attempt_failed(state: State, fact: facts.AttemptFailed) -> None:
    queue, task, attempt = _end_running(state, fact.attempt, AttemptStatus.FAILED, fact)
    attempt.failure = fact.failure
    if fact.failure.reason == VolumeFull.reason:
        pause(state, queue, fact.at_ms + state.limits.volume_full_pause_ms)
    _again(state, queue, task, fact)


def _attempt_lost(state: State, fact: facts.AttemptLost) -> None:
    queue, task, attempt = _end_running(state, fact.attempt, AttemptStatus.LOST, fact)
    attempt.failure = fact.failure
    _again(state, queue, task, fact)


def _attempt_cancelled(state: State, fact: facts.AttemptCancelled) -> None:
    queue, task, _ = _end_running(state, fact.attempt, AttemptStatus.CANCELLED, fact)
    if task.status is TaskStatus.COMPLETED:
        task.status = moved(TASK, task.status, fact, TaskStatus.COMPLETED, task)
        refresh(state, queue)
    else:
        _again(state, queue, task, fact)


def _map_output_lost(state: State, fact: facts.MapOutputLost) -> None:
    queue, task = _task_of(state, fact.attempt)
    attempt = _attempt_of(task, fact.attempt)
    attempt.status = moved(ATTEMPT, attempt.status, fact, AttemptStatus.LOST, task)
    attempt.failure = fact.failure
    task.status = moved(TASK, task.status, fact, TaskStatus.SCHEDULED, task)
    add_counters(queue.job.counters, task.counters, -1)
    task.accepted = None
    task.output = None
    task.counters = {}
    task.ended_ms = None
    queue.accepted_maps -= 1
    queue.map_outputs_version += 1
    put_off(state, queue, task, fact.at_ms)
    state.unscaled[queue.job.id] = None
    refresh(state, queue)


def _progress_seen(state: State, fact: facts.ProgressSeen) -> None:
    running = state.running(fact.attempt)
    if running is None:
        return
    attempt = running.attempt
    attempt.input_bytes = fact.input_bytes
    attempt.input_bytes_total = fact.input_bytes_total
    attempt.counters = fact.counters
    attempt.program_status = fact.status
    attempt.heard_ms = fact.at_ms
    worker = state.workers.get(attempt.worker)
    if worker is not None:
        worker.heard_ms = fact.at_ms


def _end_running(
    state: State, attempt_id: AttemptId, status: AttemptStatus, fact: facts.Fact
) -> tuple[JobQueue, Task, Attempt]:
    queue = state.queues[job_of(attempt_id)]
    running = queue.running.pop(attempt_id, None)
    if running is None:  # the table refuses this, with the task's story
        task = _task_of(state, attempt_id)[1]
        running = Running(task, _attempt_of(task, attempt_id))
    _end_attempt(running.task, running.attempt, status, fact)
    return queue, running.task, running.attempt


def _end_attempt(task: Task, attempt: Attempt, status: AttemptStatus, fact: facts.Fact) -> None:
    attempt.status = moved(ATTEMPT, attempt.status, fact, status, task)
    attempt.ended_ms = fact.at_ms
    attempt.counters = None


def _again(state: State, queue: JobQueue, task: Task, fact: facts.Fact) -> None:
    """The task's attempt ended without a result: unless another one runs, it waits for its next."""
    if any(attempt.status is AttemptStatus.RUNNING for attempt in task.attempts):
        task.status = moved(TASK, task.status, fact, TaskStatus.IN_PROGRESS, task)
    else:
        task.status = moved(TASK, task.status, fact, TaskStatus.SCHEDULED, task)
        put_off(state, queue, task, fact.at_ms)
    refresh(state, queue)


def _timers_fired(state: State, fact: facts.TimersFired) -> None:
    fire_timers(state, fact.at_ms)


def _task_of(state: State, attempt: AttemptId) -> tuple[JobQueue, Task]:
    place = locate(attempt)
    queue = state.queues[place.job]
    return queue, (queue.job.maps if place.is_map else queue.job.reduces)[place.task_index]


def _attempt_of(task: Task, attempt: AttemptId) -> Attempt:
    return task.attempts[locate(attempt).attempt_number]


# Workers


def _worker_added(state: State, fact: facts.WorkerAdded) -> None:
    state.workers[fact.worker] = Worker(
        fact.worker,
        fact.address,
        fact.job,
        joined_ms=fact.at_ms,
        heard_ms=fact.at_ms,
        pod_name=fact.pod_name,
    )
    state.worker_counts[fact.job] = state.worker_counts.get(fact.job, 0) + 1
    for job in list(state.troubled) if fact.job is None else [fact.job]:
        _trouble_over(state, job)
    if fact.attempt is None:
        make_idle(state, fact.worker)
        return
    occupy(state, fact.worker, fact.attempt)
    queue = state.queues.get(job_of(fact.attempt))
    if queue is not None:
        queue.outstanding[fact.attempt] = fact.worker
        state.cleanable.pop(queue.job.id, None)


def _worker_removed(state: State, fact: facts.WorkerRemoved) -> None:
    worker = state.workers.pop(fact.worker)
    state.idle.get(worker.job, {}).pop(worker.id, None)
    if not worker.quarantined:
        state.worker_counts[worker.job] -= 1
    refresh_bound(state, worker.job)


def _worker_suspected(state: State, fact: facts.WorkerSuspected) -> None:
    worker = state.workers[fact.worker]
    task = task_of(fact.attempt)
    if task not in worker.failed_tasks:
        worker.failed_tasks.append(task)
    if fact.quarantined:
        worker.quarantined = True
        state.worker_counts[worker.job] -= 1


def _stream_ended(state: State, fact: facts.StreamEnded) -> None:
    queue = state.queues.get(job_of(fact.attempt))
    if queue is not None:
        queue.outstanding.pop(fact.attempt, None)
        note_cleanable(state, queue)
    worker = state.workers.get(fact.worker)
    if worker is None or worker.attempt != fact.attempt:
        return
    worker.attempt = None
    worker.heard_ms = fact.at_ms
    if fact.succeeded:
        worker.failed_tasks.clear()
    if not worker.quarantined:
        make_idle(state, worker.id)


# The rest


def _trouble_seen(state: State, fact: facts.TroubleSeen) -> None:
    for job in list(state.queues) if fact.job is None else [fact.job]:
        if job in state.queues and not state.jobs[job].status.ended:
            state.jobs[job].trouble = fact.message
            state.troubled[job] = True


def _trouble_over(state: State, job: JobId) -> None:
    if state.troubled.pop(job, False):
        state.jobs[job].trouble = ""


def _pool_scaled(state: State, fact: facts.PoolScaled) -> None:
    queue = state.queues.get(fact.job)
    if queue is not None:
        queue.scaled_workers = fact.workers
    state.unscaled.pop(fact.job, None)


def _recovered(state: State, fact: facts.Recovered) -> None:
    for queue in state.queues.values():
        queue.outstanding.clear()
        for running in queue.running.values():
            state.orphans[running.attempt.worker] = running.attempt.id
    state.orphans_due_ms = fact.at_ms + state.limits.reattach_grace_ms


def _grace_ended(state: State, _fact: facts.GraceEnded) -> None:
    state.orphans.clear()
    state.orphans_due_ms = None
    for queue in state.queues.values():
        note_cleanable(state, queue)


_APPLY: dict[type, Callable[[State, Any], None]] = {
    facts.JobAccepted: _job_accepted,
    facts.JobStarted: _job_started,
    facts.MapsPlanned: _maps_planned,
    facts.AttemptStarted: _attempt_started,
    facts.UploadOpened: _upload_opened,
    facts.AttemptAccepted: _attempt_accepted,
    facts.AttemptFailed: _attempt_failed,
    facts.AttemptLost: _attempt_lost,
    facts.AttemptCancelled: _attempt_cancelled,
    facts.MapOutputLost: _map_output_lost,
    facts.CommitStarted: _commit_started,
    facts.JobEnded: _job_ended,
    facts.JobCleaned: _job_cleaned,
    facts.Recovered: _recovered,
    facts.GraceEnded: _grace_ended,
    facts.WorkerAdded: _worker_added,
    facts.WorkerRemoved: _worker_removed,
    facts.WorkerSuspected: _worker_suspected,
    facts.StreamEnded: _stream_ended,
    facts.ProgressSeen: _progress_seen,
    facts.TroubleSeen: _trouble_seen,
    facts.TimersFired: _timers_fired,
    facts.PoolScaled: _pool_scaled,
    facts.CleanUpStarted: _cleanup_started,
    facts.JobRestored: _job_restored,
    facts.JobArchived: _job_archived,
    facts.TasksDropped: _tasks_dropped,
    facts.JobForgotten: _job_forgotten,
}
