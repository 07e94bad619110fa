"""What it means for a task and its job that an attempt ended without a result.

Lost is not failed: a failed attempt counts towards the job's `maxAttempts`, a lost one towards a larger cap of its own.
One that was lost because its worker was told to end (an eviction) counts towards neither, but towards a cap that only
evictions without end ever reach.
A program that fails in the same way on two workers would do so on every other: the task is not tried again.
A task whose budget is used up ends its job, but not while another attempt of it still runs: that one may be done.
"""

from collections.abc import Sequence
from dataclasses import replace

from apollo_common import errors
from apollo_common.ids import job_of
from apollo_coordinator.core import commands, facts
from apollo_coordinator.core.decide_jobs import end_job
from apollo_coordinator.core.failures import failed_alike, program_of, with_fingerprint
from apollo_coordinator.core.model import Attempt, AttemptStatus, Failure, JobStatus, Task, TaskStatus
from apollo_coordinator.core.outcome import Outcome
from apollo_coordinator.core.state import (
    EXCUSED_REASONS,
    JobQueue,
    Running,
    State,
    counted_failures,
    counted_hand_backs,
    counted_losses,
    is_failure,
    is_hand_back,
    is_loss,
)


def fail(state: State, running: Running, failure: Failure, now_ms: int, out: Outcome) -> None:
    """The attempt failed. A failure that every further attempt would meet ends the job at once."""
    task, attempt = running
    queue = state.queues[job_of(attempt.id)]
    failure = with_fingerprint(queue.job, task, failure)
    out.facts.append(facts.AttemptFailed(now_ms, attempt.id, failure))
    if attempt.upload_id:
        out.commands.append(commands.DiscardPart(attempt.id))
    if not failure.retryable and failure.reason not in EXCUSED_REASONS:
        end_job(queue, JobStatus.FAILED, _blame(failure, queue, task, attempt), now_ms, out, over=attempt.id)
        return
    _judge(state, running, AttemptStatus.FAILED, failure, now_ms, out)


def lose(state: State, running: Running, failure: Failure, now_ms: int, out: Outcome, *, lost_beside: int = 0) -> bool:
    """Nothing more is heard of the attempt; whether that was the job's end.

    `lost_beside`: other attempts of the task that the same event has lost.
    """
    worker = state.workers.get(running.attempt.worker)
    if failure.reason == errors.WorkerUnreachable.reason and worker is not None and worker.draining:
        failure = replace(failure, reason=errors.WorkerDrained.reason)
    out.facts.append(facts.AttemptLost(now_ms, running.attempt.id, failure))
    return _judge(state, running, AttemptStatus.LOST, failure, now_ms, out, lost_beside)


def end_if_spent(state: State, queue: JobQueue, now_ms: int, out: Outcome) -> None:
    """After a restart: end a job with a task that is out of attempts, should the journal end before it says so."""
    for task in queue.job.tasks:
        if task.status is TaskStatus.SCHEDULED and task.attempts:
            spent = verdict(state, queue, task, task.attempts)
            if spent is not None:
                end_job(queue, JobStatus.FAILED, spent, now_ms, out)
                return


def _judge(
    state: State,
    running: Running,
    status: AttemptStatus,
    failure: Failure,
    now_ms: int,
    out: Outcome,
    lost_beside: int = 0,
) -> bool:
    """End the job if the task has no attempts left and none that runs; whether it did."""
    task, attempt = running
    others = [other for other in task.attempts if other is not attempt]
    if sum(1 for other in others if other.status is AttemptStatus.RUNNING) > lost_beside:
        return False
    queue = state.queues[job_of(attempt.id)]
    ended = replace(attempt, status=status, failure=failure)
    spent = verdict(state, queue, task, [*others, ended], lost_beside)
    if spent is None:
        return False
    end_job(queue, JobStatus.FAILED, spent, now_ms, out, over=attempt.id)
    return True


def verdict(
    state: State, queue: JobQueue, task: Task, attempts: Sequence[Attempt], lost_beside: int = 0
) -> Failure | None:
    """Why the job fails, in the words of the attempt that used up the task's budget; None while there is some."""
    if counted_failures(attempts) >= queue.job.spec.max_attempts:
        failed = next(attempt for attempt in reversed(attempts) if is_failure(attempt))
        return _blame(_failure_of(failed), queue, task, failed)
    alike = failed_alike(queue.job, task, attempts)
    if alike is not None:
        last = _failure_of(alike)
        message = f"task {task.id} failed twice in the same way on different workers: {last.message}"
        return _blame(replace(last, message=message), queue, task, alike)
    limits = state.limits
    if counted_losses(attempts) + lost_beside >= limits.max_lost_attempts:
        spent, times, happened = is_loss, limits.max_lost_attempts, "was lost"
    elif counted_hand_backs(attempts) >= limits.max_handed_back_attempts:
        spent, times, happened = is_hand_back, limits.max_handed_back_attempts, "was handed back"
    else:
        return None
    culprit = next(attempt for attempt in reversed(attempts) if spent(attempt))
    last = _failure_of(culprit)
    message = f"task {task.id} {happened} {times} times; the last: {last.message}"
    return _blame(Failure(last.reason, message, retryable=False), queue, task, culprit)


def _failure_of(attempt: Attempt) -> Failure:
    """Of an attempt that failed or was lost: those always have one."""
    if attempt.failure is None:
        raise AssertionError(f"{attempt.id} is {attempt.status} without a failure")
    return attempt.failure


def _blame(failure: Failure, queue: JobQueue, task: Task, attempt: Attempt) -> Failure:
    """The failure, with what a user needs to find its cause."""
    first = task.split.pieces[0] if task.split is not None and task.split.pieces else None
    return replace(
        failure,
        task=str(task.id),
        attempt=str(attempt.id),
        program=failure.program or program_of(queue.job, task, failure.reason),
        input=failure.input or (f"{first.url} from byte {first.offset}" if first is not None else ""),
    )
