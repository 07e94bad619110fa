"""How facts about attempts change the state."""

from apollo_common.errors import VolumeFull
from apollo_common.ids import AttemptId, job_of
from apollo_common.timings import NO_TIMINGS, Timings
from apollo_coordinator.core import facts
from apollo_coordinator.core.failures import note_failure, with_fingerprint
from apollo_coordinator.core.indexes import (
    fire_timers,
    move_task,
    occupy,
    pause,
    put_off,
    refresh,
    trouble,
    trouble_over,
)
from apollo_coordinator.core.model import Attempt, AttemptStatus, Job, Task, TaskKind, TaskStatus, add_counters
from apollo_coordinator.core.state import JobQueue, Running, Sample, State, locate, size_bytes
from apollo_coordinator.core.transitions import ATTEMPT, moved


def attempt_started(state: State, fact: facts.AttemptStarted) -> None:
    queue, task = _task_of(state, fact.attempt)
    move_task(queue.job, task, fact, TaskStatus.IN_PROGRESS)
    if task.started_ms is None:
        task.started_ms = fact.at_ms
    attempt = Attempt(
        fact.attempt,
        fact.worker,
        fact.at_ms,
        speculative=fact.speculative,
        workers=fact.workers,
        worker_joined_ms=fact.worker_joined_ms,
        heard_ms=fact.at_ms,
        advanced_ms=fact.at_ms,
    )
    task.attempts.append(attempt)
    state.attempts_started += 1
    queue.turn = state.attempts_started
    queue.running[attempt.id] = Running(task, attempt)
    queue.outstanding[attempt.id] = fact.worker
    if queue.cautious:
        queue.probe = attempt.id
    if fact.speculative:
        queue.running_backups += 1
        queue.job.speculative_attempts += 1
    occupy(state, fact.worker, attempt.id)
    refresh(state, queue)


def attempt_reattached(state: State, fact: facts.AttemptReattached) -> None:
    attempt = _attempt_of(_task_of(state, fact.attempt)[1], fact.attempt)
    state.orphans.pop(attempt.worker, None)
    attempt.worker = fact.worker


def upload_opened(state: State, fact: facts.UploadOpened) -> None:
    attempt = _attempt_of(_task_of(state, fact.attempt)[1], fact.attempt)
    attempt.output_url = fact.url
    attempt.upload_id = fact.upload_id


def attempt_accepted(state: State, fact: facts.AttemptAccepted) -> None:
    queue, task, attempt = _end_running(state, fact.attempt, AttemptStatus.SUCCEEDED, fact)
    move_task(queue.job, task, fact, TaskStatus.COMPLETED)
    attempt.input_bytes_total = attempt.input_bytes_total or fact.input_bytes  # progress was no fact
    attempt.input_bytes = attempt.input_bytes_total or attempt.input_bytes
    attempt.largest_group = fact.largest_group
    size = size_bytes(task, attempt) or attempt.input_bytes
    queue.samples[task.kind].append(Sample(size, max(1, fact.at_ms - attempt.started_ms)))
    queue.job.speculative_won += attempt.speculative
    task.accepted = attempt.id
    task.output = fact.output
    task.counters = fact.counters
    task.ended_ms = fact.at_ms
    attempt.timings = fact.timings
    add_counters(queue.job.counters, fact.counters, 1)
    _add_timings(queue.job, task, fact.timings, 1)
    queue.advanced_ms = fact.at_ms
    if queue.cautious:
        queue.held_until_ms = fact.at_ms
    queue.cautious = False
    queue.pauses = 0
    if fact.at_ms >= queue.paused_until_ms:
        trouble_over(state, queue.job.id)
    if task.kind is TaskKind.MAP:
        queue.map_outputs_version += 1
        if queue.maps_done:
            queue.reduces_ready_ms = fact.at_ms
            state.unscaled[queue.job.id] = None
    refresh(state, queue)


def attempt_failed(state: State, fact: facts.AttemptFailed) -> None:
    queue, task, attempt = _end_running(state, fact.attempt, AttemptStatus.FAILED, fact)
    attempt.failure = with_fingerprint(queue.job, task, fact.failure)
    note_failure(queue, task, attempt, attempt.failure, fact.at_ms)
    if fact.failure.reason == VolumeFull.reason:
        pause(state, queue, fact.at_ms)
        trouble(state, queue.job.id, fact.failure.message)
    _again(state, queue, task, fact)


def attempt_lost(state: State, fact: facts.AttemptLost) -> None:
    queue, task, attempt = _end_running(state, fact.attempt, AttemptStatus.LOST, fact)
    attempt.failure = fact.failure
    _again(state, queue, task, fact)


def attempt_cancelled(state: State, fact: facts.AttemptCancelled) -> None:
    queue, task, attempt = _end_running(state, fact.attempt, AttemptStatus.CANCELLED, fact)
    if task.status is TaskStatus.COMPLETED:
        worker = state.workers.get(attempt.worker)
        if worker is not None and not attempt.speculative:
            worker.slow = True
        move_task(queue.job, task, fact, TaskStatus.COMPLETED)
        refresh(state, queue)
    else:
        _again(state, queue, task, fact)


def map_output_lost(state: State, fact: facts.MapOutputLost) -> None:
    queue, task = _task_of(state, fact.attempt)
    attempt = _attempt_of(task, fact.attempt)
    attempt.status = moved(ATTEMPT, attempt.status, fact, AttemptStatus.LOST, task)
    attempt.failure = fact.failure
    move_task(queue.job, task, fact, TaskStatus.SCHEDULED)
    add_counters(queue.job.counters, task.counters, -1)
    _add_timings(queue.job, task, attempt.timings, -1)
    attempt.timings = NO_TIMINGS
    task.accepted = None
    task.output = None
    task.counters = {}
    task.ended_ms = None
    queue.map_outputs_version += 1
    put_off(state, queue, task, fact.at_ms)
    state.unscaled[queue.job.id] = None
    refresh(state, queue)


def progress_seen(state: State, fact: facts.ProgressSeen) -> None:
    queue = state.queues.get(job_of(fact.attempt))
    running = queue.running.get(fact.attempt) if queue is not None else None
    if queue is None or running is None:
        return
    attempt = running.attempt
    if fact.input_bytes != attempt.input_bytes:
        attempt.advanced_ms = queue.advanced_ms = fact.at_ms
    attempt.input_bytes = fact.input_bytes
    attempt.input_bytes_total = fact.input_bytes_total
    attempt.counters = fact.counters
    attempt.timings = fact.timings
    attempt.program_status = fact.status
    attempt.heard_ms = fact.at_ms
    worker = state.workers.get(attempt.worker)
    if worker is not None:
        worker.heard_ms = fact.at_ms


def timers_fired(state: State, fact: facts.TimersFired) -> None:
    fire_timers(state, fact.at_ms)


def stragglers_sought(state: State, fact: facts.StragglersSought) -> None:
    state.queues[fact.job].sought_ms = fact.at_ms


def end_attempt(task: Task, attempt: Attempt, status: AttemptStatus, fact: facts.Fact) -> None:
    attempt.status = moved(ATTEMPT, attempt.status, fact, status, task)
    attempt.ended_ms = fact.at_ms
    attempt.counters = None
    attempt.timings = NO_TIMINGS


def _end_running(
    state: State, attempt_id: AttemptId, status: AttemptStatus, fact: facts.Fact
) -> tuple[JobQueue, Task, Attempt]:
    queue = state.queues[job_of(attempt_id)]
    running = queue.running.pop(attempt_id, None)
    if running is None:  # the table refuses this, with the task's story
        task = _task_of(state, attempt_id)[1]
        running = Running(task, _attempt_of(task, attempt_id))
    if queue.probe == attempt_id:
        queue.probe = None
    if running.attempt.speculative:
        queue.running_backups -= 1
    end_attempt(running.task, running.attempt, status, fact)
    return queue, running.task, running.attempt


def _add_timings(job: Job, task: Task, timings: Timings, sign: int) -> None:
    if task.kind is TaskKind.REDUCE:
        job.reduce_timings = job.reduce_timings.plus(timings, sign)
    else:  # a sampler runs the mapper
        job.map_timings = job.map_timings.plus(timings, sign)


def _again(state: State, queue: JobQueue, task: Task, fact: facts.Fact) -> None:
    """The task's attempt ended without a result: unless another one runs, it waits for its next."""
    if any(attempt.status is AttemptStatus.RUNNING for attempt in task.attempts):
        move_task(queue.job, task, fact, TaskStatus.IN_PROGRESS)
    else:
        move_task(queue.job, task, fact, TaskStatus.SCHEDULED)
        put_off(state, queue, task, fact.at_ms)
    refresh(state, queue)


def _task_of(state: State, attempt: AttemptId) -> tuple[JobQueue, Task]:
    place = locate(attempt)
    queue = state.queues[place.job]
    return queue, queue.job.tasks_of(place.kind)[place.task_index]


def _attempt_of(task: Task, attempt: AttemptId) -> Attempt:
    return task.attempts[locate(attempt).attempt_number]
