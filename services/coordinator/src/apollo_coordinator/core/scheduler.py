"""`decide(state, event, now)`: what an event means. Changes nothing; `step` applies what was decided and assigns work.

Stale messages are ignored by name: an attempt that does not run any more (lost, cancelled, its job over) has no say,
whatever its worker reports; only the worker becomes free.

A job can be stopped until its commit begins. From there it ends by itself, since half published output helps nobody;
only a commit in trouble, which may last for ever, can be given up.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from apollo_common.errors import FetchFailed, LimitExceeded, OutputIncomplete, VolumeFull, WorkerUnreachable
from apollo_common.ids import AttemptId, JobId, job_of
from apollo_coordinator.core import commands, events, facts
from apollo_coordinator.core.apply import apply
from apollo_coordinator.core.assign import next_move
from apollo_coordinator.core.model import AttemptOutput, AttemptStatus, Failure, Job, JobStatus, TaskKind
from apollo_coordinator.core.state import (
    EXCUSED_REASONS,
    JobQueue,
    Running,
    State,
    counted_failures,
    counted_losses,
    locate,
)


class Outcome(NamedTuple):
    facts: list[facts.Fact]
    commands: list[commands.Command]


def step(state: State, event: events.Event, now_ms: int) -> Outcome:
    """Decide, apply, then give out work until nothing more can be given out."""
    outcome = decide(state, event, now_ms)
    for fact in outcome.facts:
        apply(state, fact)
    while (move := next_move(state, now_ms)) is not None:
        fact, command = move
        apply(state, fact)
        outcome.facts.append(fact)
        outcome.commands.extend(command)
    return outcome


def decide(state: State, event: events.Event, now_ms: int) -> Outcome:
    """The facts that follow from an event, and the commands to run once they are durable."""
    outcome = Outcome([], [])
    _DECIDE[type(event)](state, event, now_ms, outcome)
    return outcome


# Jobs


def _job_submitted(_state: State, event: events.JobSubmitted, now_ms: int, out: Outcome) -> None:
    out.facts.append(facts.JobAccepted(now_ms, event.job, event.spec))


def _stop_requested(state: State, event: events.StopRequested, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(event.job)
    if queue is not None and queue.job.status in (JobStatus.QUEUED, JobStatus.RUNNING):
        _end_job(queue, JobStatus.STOPPED, None, now_ms, out)
    elif queue is not None and queue.job.status is JobStatus.COMMITTING and queue.job.trouble:
        message = (
            f"stopped while its output was being published ({queue.job.trouble}): some parts at "
            f"{queue.job.spec.output_path} may be new; unless _SUCCESS is there, the output is not whole"
        )
        _end_job(queue, JobStatus.STOPPED, Failure(OutputIncomplete.reason, message, retryable=False), now_ms, out)


def _input_planned(state: State, event: events.InputPlanned, now_ms: int, out: Outcome) -> None:
    queue = _running_job(state, event.job)
    if queue is None or queue.job.planned:
        return
    spec = queue.job.spec
    tasks = len(event.splits) + spec.n_reducers
    if tasks > state.limits.max_tasks_per_job:
        message = (
            f"{len(event.splits)} map and {spec.n_reducers} reduce tasks are over the limit of "
            f"{state.limits.max_tasks_per_job}; choose a splitSize over {spec.split_size_bytes} bytes"
        )
        failure = Failure(LimitExceeded.reason, message, retryable=False)
        _end_job(queue, JobStatus.FAILED, failure, now_ms, out)
        return
    out.facts.append(facts.MapsPlanned(now_ms, event.job, event.splits))
    if tasks == 0:
        _start_commit(queue.job, now_ms, out)


def _plan_failed(state: State, event: events.PlanFailed, now_ms: int, out: Outcome) -> None:
    queue = _running_job(state, event.job)
    if queue is not None and not queue.job.planned:
        _end_job(queue, JobStatus.FAILED, event.failure, now_ms, out)


def _commit_delayed(state: State, event: events.CommitDelayed, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(event.job)
    if queue is not None and queue.job.status is JobStatus.COMMITTING:
        out.facts.append(facts.TroubleSeen(now_ms, event.job, event.message))


def _commit_finished(state: State, event: events.CommitFinished, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(event.job)
    if queue is not None and queue.job.status is JobStatus.COMMITTING:
        _end_job(queue, JobStatus.SUCCEEDED, None, now_ms, out)


def _commit_failed(state: State, event: events.CommitFailed, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(event.job)
    if queue is not None and queue.job.status is JobStatus.COMMITTING:
        _end_job(queue, JobStatus.FAILED, event.failure, now_ms, out)


def _cleanup_finished(state: State, event: events.CleanUpFinished, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(event.job)
    if queue is not None and queue.cleaning:
        out.facts.append(facts.JobCleaned(now_ms, event.job))
        out.commands.append(commands.ArchiveJob(event.job))


def _job_archived(state: State, event: events.JobArchived, now_ms: int, out: Outcome) -> None:
    job = state.jobs.get(event.job)
    if job is None or job.totals is not None:
        return
    out.facts.append(facts.JobArchived(now_ms, job.id))
    tasks = len(job.maps) + len(job.reduces)
    surplus = state.tasks_at_hand + tasks - state.limits.max_ended_tasks_at_hand
    for other, count in (*state.at_hand.items(), (job.id, tasks)):
        if surplus <= 0:
            break
        out.facts.append(facts.TasksDropped(now_ms, other))
        surplus -= count


def _start_commit(job: Job, now_ms: int, out: Outcome) -> None:
    out.facts.append(facts.CommitStarted(now_ms, job.id))
    out.commands.append(commands.CommitOutput(job.id))


def _end_job(
    queue: JobQueue,
    status: JobStatus,
    failure: Failure | None,
    now_ms: int,
    out: Outcome,
    over: AttemptId | None = None,
) -> None:
    """End the job and cancel what runs, but for the attempt that is `over` by the event at hand."""
    out.facts.append(facts.JobEnded(now_ms, queue.job.id, status, failure))
    reason = "the job was stopped" if status is JobStatus.STOPPED else "the job has ended"
    out.commands.extend(
        commands.CancelAttempt(running.attempt.id, running.attempt.worker, reason)
        for running in queue.running.values()
        if running.attempt.id != over
    )


def _running_job(state: State, job: JobId) -> JobQueue | None:
    queue = state.queues.get(job)
    return queue if queue is not None and queue.job.status is JobStatus.RUNNING else None


# Attempts


def _output_opened(state: State, event: events.OutputOpened, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(job_of(event.attempt))
    if queue is not None and event.attempt in queue.outstanding:
        # Also for an attempt that is over: the clean-up has to know of its upload.
        out.facts.append(facts.UploadOpened(now_ms, event.attempt, event.url, event.upload_id))
    running = state.running(event.attempt)
    if running is not None and not running.attempt.upload_id:
        out.commands.append(commands.RunAttempt(event.attempt, event.worker))
    elif running is None:
        out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))


def _output_open_failed(state: State, event: events.OutputOpenFailed, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None:
        _fail(state, running, event.failure, now_ms, out)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))


def _attempt_progressed(state: State, event: events.AttemptProgressed, now_ms: int, out: Outcome) -> None:
    if state.running(event.attempt) is not None:
        out.facts.append(
            facts.ProgressSeen(
                now_ms, event.attempt, event.input_bytes, event.input_bytes_total, event.counters, event.status
            )
        )


def _attempt_done(state: State, event: events.AttemptDone, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None:
        _accept(state, running, event, now_ms, out)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker, succeeded=running is not None))


def _accept(state: State, running: Running, event: events.AttemptDone, now_ms: int, out: Outcome) -> None:
    task, attempt = running
    output = AttemptOutput(
        path=event.output_path,
        url=attempt.output_url,
        upload_id=attempt.upload_id,
        parts=event.parts,
        size_bytes=event.size_bytes,
        records=event.records,
        sha256=event.sha256,
    )
    out.facts.append(facts.AttemptAccepted(now_ms, attempt.id, output, event.counters))
    for other in task.attempts:
        if other.status is AttemptStatus.RUNNING and other is not attempt:
            message = f"attempt {attempt.id} was done first"
            out.facts.append(facts.AttemptCancelled(now_ms, other.id, message))
            out.commands.append(commands.CancelAttempt(other.id, other.worker, message))
    queue = state.queues[job_of(attempt.id)]
    accepted = queue.accepted_maps + queue.accepted_reduces + 1
    if accepted == len(queue.job.maps) + len(queue.job.reduces):
        _start_commit(queue.job, now_ms, out)


def _attempt_failed(state: State, event: events.AttemptFailed, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None:
        _fail(state, running, event.failure, now_ms, out)
        if event.failure.retryable and event.failure.reason not in EXCUSED_REASONS:
            _suspect(state, running, now_ms, out)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))


def _fail(state: State, running: Running, failure: Failure, now_ms: int, out: Outcome) -> None:
    queue = state.queues[job_of(running.attempt.id)]
    out.facts.append(facts.AttemptFailed(now_ms, running.attempt.id, failure))
    if failure.reason in EXCUSED_REASONS:
        over = counted_losses(running.task) + 1 >= state.limits.max_lost_attempts
    else:
        over = not failure.retryable or counted_failures(running.task) + 1 >= queue.job.spec.max_attempts
    if over:
        _end_job(queue, JobStatus.FAILED, _blame(failure, queue, running), now_ms, out, over=running.attempt.id)
    elif failure.reason == VolumeFull.reason:
        out.facts.append(facts.TroubleSeen(now_ms, queue.job.id, failure.message))


def _suspect(state: State, running: Running, now_ms: int, out: Outcome) -> None:
    """A worker that fails one task after the other, while the job goes well elsewhere, is itself the fault."""
    worker = state.workers.get(running.attempt.worker)
    if worker is None or worker.quarantined:
        return
    queue = state.queues[job_of(running.attempt.id)]
    suspects = len(worker.failed_tasks) + (running.task.id not in worker.failed_tasks)
    quarantined = (
        suspects >= state.limits.quarantine_after_tasks
        and queue.accepted_maps + queue.accepted_reduces > 0
        and state.worker_counts[worker.job] > 1
    )
    out.facts.append(facts.WorkerSuspected(now_ms, worker.id, running.attempt.id, quarantined))
    if quarantined:
        out.commands.append(commands.ReleaseWorker(worker.id))


def _fetch_failed(state: State, event: events.FetchFailed, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None and not _lose(state, running, event.failure, now_ms, out):
        _lose_map_output(state, event, now_ms, out)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))


def _lose_map_output(state: State, event: events.FetchFailed, now_ms: int, out: Outcome) -> None:
    """Run the named map again, unless that has happened since the reduce got its list."""
    queue = state.queues[job_of(event.attempt)]
    place = locate(event.map_attempt)
    if place.job != queue.job.id or not place.is_map or place.task_index >= len(queue.job.maps):
        return
    task = queue.job.maps[place.task_index]
    if task.accepted != event.map_attempt:
        return
    out.facts.append(facts.MapOutputLost(now_ms, event.map_attempt, event.failure))
    if counted_losses(task) + 1 >= state.limits.max_lost_attempts:
        failure = Failure(
            FetchFailed.reason,
            f"the output of map task {task.id} was lost {state.limits.max_lost_attempts} times; "
            f"check the intermediate volume: {event.failure.message}",
            retryable=False,
            task=task.id,
            attempt=event.map_attempt,
        )
        _end_job(queue, JobStatus.FAILED, failure, now_ms, out, over=event.attempt)


def _attempt_cancelled(state: State, event: events.AttemptCancelled, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None:  # nobody here asked for it: the worker is going down
        failure = Failure(WorkerUnreachable.reason, "the worker cancelled the attempt by itself")
        _lose(state, running, failure, now_ms, out)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))


def _attempt_lost(state: State, event: events.AttemptLost, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None:
        _lose(state, running, event.failure, now_ms, out)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))
    worker = state.workers.get(event.worker)
    if worker is not None and worker.attempt == event.attempt and not event.worker_usable:
        out.facts.append(facts.WorkerRemoved(now_ms, event.worker))
        out.commands.append(commands.ReleaseWorker(event.worker))


def _lose(state: State, running: Running, failure: Failure, now_ms: int, out: Outcome) -> bool:
    """Whether that was the job's end."""
    out.facts.append(facts.AttemptLost(now_ms, running.attempt.id, failure))
    if counted_losses(running.task) + 1 < state.limits.max_lost_attempts:
        return False
    queue = state.queues[job_of(running.attempt.id)]
    message = f"task {running.task.id} was lost {state.limits.max_lost_attempts} times; the last: {failure.message}"
    failure = Failure(failure.reason, message, retryable=False)
    _end_job(queue, JobStatus.FAILED, _blame(failure, queue, running), now_ms, out, over=running.attempt.id)
    return True


def _blame(failure: Failure, queue: JobQueue, running: Running) -> Failure:
    """The failure, with what a user needs to find its cause."""
    task, attempt = running
    spec = queue.job.spec
    program = spec.mapper if task.kind is TaskKind.MAP else spec.reducer
    first = task.split.pieces[0] if task.split is not None and task.split.pieces else None
    return replace(
        failure,
        task=str(task.id),
        attempt=str(attempt.id),
        program=failure.program or (program.given_name if program is not None else ""),
        input=failure.input or (f"{first.url} from byte {first.offset}" if first is not None else ""),
    )


# Workers and time


def _worker_joined(state: State, event: events.WorkerJoined, now_ms: int, out: Outcome) -> None:
    if event.worker in state.workers:
        return
    orphan = state.orphans.get(event.worker)
    expected = state.running(orphan) if orphan is not None else None
    # A worker that says it is idle may have ended the attempt while nobody listened; it still knows the result.
    attempt = event.attempt or (expected.attempt.id if expected else None)
    out.facts.append(
        facts.WorkerAdded(now_ms, event.worker, event.address, event.job, event.pod_name, attempt),
    )
    if attempt is None:
        return
    out.commands.append(commands.AttachAttempt(attempt, event.worker))
    if expected is None or expected.attempt.id != attempt:
        out.commands.append(commands.CancelAttempt(attempt, event.worker, "nobody waits for the attempt any more"))
        if expected is not None:
            failure = Failure(WorkerUnreachable.reason, "the worker forgot the attempt")
            _lose(state, expected, failure, now_ms, out)


def _worker_left(state: State, event: events.WorkerLeft, now_ms: int, out: Outcome) -> None:
    worker = state.workers.get(event.worker)
    if worker is None:
        return
    running = state.running(worker.attempt) if worker.attempt else None
    if running is not None:
        failure = Failure(WorkerUnreachable.reason, event.message)
        _lose(state, running, failure, now_ms, out)
    out.facts.append(facts.WorkerRemoved(now_ms, event.worker))


def _pool_troubled(state: State, event: events.PoolTroubled, now_ms: int, out: Outcome) -> None:
    if state.worker_counts.get(event.job):  # those that are there do the work
        return
    out.facts.append(facts.TroubleSeen(now_ms, event.job, event.message))


def _restarted(state: State, _event: events.Restarted, now_ms: int, out: Outcome) -> None:
    out.facts.append(facts.Recovered(now_ms))
    for queue in state.queues.values():
        if queue.job.status is JobStatus.RUNNING and not queue.job.planned:
            out.commands.append(commands.PlanInput(queue.job.id))
        elif queue.job.status is JobStatus.RUNNING and queue.all_done:  # the journal ends between two facts
            _start_commit(queue.job, now_ms, out)
        elif queue.job.status is JobStatus.COMMITTING:
            out.commands.append(commands.CommitOutput(queue.job.id))
    out.commands.extend(
        commands.ArchiveJob(job.id) for job in state.jobs.values() if job.totals is None and job.id not in state.queues
    )


def _tick(state: State, _event: events.Tick, now_ms: int, out: Outcome) -> None:
    if state.timers and state.timers[0].due_ms <= now_ms:
        out.facts.append(facts.TimersFired(now_ms))
    if state.orphans_due_ms is not None and state.orphans_due_ms <= now_ms:
        _lose_orphans(state, now_ms, out)
        out.facts.append(facts.GraceEnded(now_ms))
    _forget_oldest(state, now_ms, out)


def _lose_orphans(state: State, now_ms: int, out: Outcome) -> None:
    failure = Failure(WorkerUnreachable.reason, "the worker did not come back after the coordinator was restarted")
    for queue in state.queues.values():
        for running in queue.running.values():
            if running.attempt.worker not in state.workers and _lose(state, running, failure, now_ms, out):
                break


def _forget_oldest(state: State, now_ms: int, out: Outcome) -> None:
    """One at a time: a job may take the journal a while to forget. Jobs that are not cleaned up hold up nobody."""
    if not state.ended:
        return
    ended_ms, job = state.ended[0]
    if ended_ms + state.limits.retention_ms <= now_ms:
        out.facts.append(facts.JobForgotten(now_ms, job))
        out.commands.append(commands.ForgetJob(job))


_DECIDE: dict[type, Callable[[State, Any, int, Outcome], None]] = {
    events.JobSubmitted: _job_submitted,
    events.StopRequested: _stop_requested,
    events.InputPlanned: _input_planned,
    events.PlanFailed: _plan_failed,
    events.WorkerJoined: _worker_joined,
    events.WorkerLeft: _worker_left,
    events.PoolTroubled: _pool_troubled,
    events.OutputOpened: _output_opened,
    events.OutputOpenFailed: _output_open_failed,
    events.AttemptProgressed: _attempt_progressed,
    events.AttemptDone: _attempt_done,
    events.AttemptFailed: _attempt_failed,
    events.FetchFailed: _fetch_failed,
    events.AttemptCancelled: _attempt_cancelled,
    events.AttemptLost: _attempt_lost,
    events.CommitDelayed: _commit_delayed,
    events.CommitFinished: _commit_finished,
    events.CommitFailed: _commit_failed,
    events.CleanUpFinished: _cleanup_finished,
    events.JobArchived: _job_archived,
    events.Restarted: _restarted,
    events.Tick: _tick,
}
