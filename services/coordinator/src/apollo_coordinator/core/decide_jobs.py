"""What events about jobs as a whole mean: submitted, planned, stopped, committed, cleaned up.

A job can be stopped until its commit begins. From there it ends by itself, since half published output helps nobody;
only a commit in trouble, which may last for ever, can be given up.
"""

from collections.abc import Iterable

from apollo_common.errors import JobTimeout, LimitExceeded, OutputIncomplete
from apollo_common.ids import AttemptId, JobId
from apollo_coordinator.core import commands, events, facts
from apollo_coordinator.core.model import Failure, Job, JobStatus, Task
from apollo_coordinator.core.outcome import Outcome
from apollo_coordinator.core.splitters import needs_sampling, sampled_splits, splitters_of
from apollo_coordinator.core.state import JobQueue, State


def job_submitted(_state: State, event: events.JobSubmitted, now_ms: int, out: Outcome) -> None:
    out.facts.append(facts.JobAccepted(now_ms, event.job, event.spec))


def stop_requested(state: State, event: events.StopRequested, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(event.job)
    if queue is not None and queue.job.status in (JobStatus.QUEUED, JobStatus.RUNNING):
        end_job(queue, JobStatus.STOPPED, None, now_ms, out)
    elif queue is not None and queue.job.status is JobStatus.COMMITTING and queue.job.trouble:
        message = (
            f"stopped while its output was being published ({queue.job.trouble}): some parts at "
            f"{queue.job.spec.output_path} may be new; unless _SUCCESS is there, the output is not whole"
        )
        end_job(queue, JobStatus.STOPPED, Failure(OutputIncomplete.reason, message, retryable=False), now_ms, out)


def input_planned(state: State, event: events.InputPlanned, now_ms: int, out: Outcome) -> None:
    queue = _running_job(state, event.job)
    if queue is None or queue.job.planned:
        return
    spec = queue.job.spec
    adopted = event.adoption.adopted if event.adoption is not None else 0
    tasks = len(event.splits) + spec.n_reducers
    if tasks - adopted > state.limits.max_tasks_per_job:
        message = (
            f"{len(event.splits)} map and {spec.n_reducers} reduce tasks are over the limit of "
            f"{state.limits.max_tasks_per_job}; choose a splitSize over {spec.split_size_bytes} bytes"
        )
        failure = Failure(LimitExceeded.reason, message, retryable=False)
        end_job(queue, JobStatus.FAILED, failure, now_ms, out)
        return
    samples = event.splits and event.adoption is None and needs_sampling(queue.job)
    sampled = sampled_splits(len(event.splits)) if samples else ()
    out.facts.append(facts.MapsPlanned(now_ms, event.job, event.splits, sampled, event.adoption))
    if tasks == 0:
        start_commit(queue.job, now_ms, out)


def plan_failed(state: State, event: events.PlanFailed, now_ms: int, out: Outcome) -> None:
    queue = _running_job(state, event.job)
    if queue is not None and not queue.job.planned:
        end_job(queue, JobStatus.FAILED, event.failure, now_ms, out)


def delayed(state: State, event: events.AccessDelayed | events.QuarantineDelayed, now_ms: int, out: Outcome) -> None:
    if _running_job(state, event.job) is not None:
        out.facts.append(facts.TroubleSeen(now_ms, event.job, event.message))


def commit_delayed(state: State, event: events.CommitDelayed, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(event.job)
    if queue is not None and queue.job.status is JobStatus.COMMITTING:
        out.facts.append(facts.TroubleSeen(now_ms, event.job, event.message))


def journal_stalled(_state: State, event: events.JournalStalled, now_ms: int, out: Outcome) -> None:
    out.facts.append(facts.TroubleSeen(now_ms, None, event.message))


def journal_written(_state: State, event: events.JournalWritten, now_ms: int, out: Outcome) -> None:
    out.facts.append(facts.TroubleOver(now_ms, event.message))


def commit_finished(state: State, event: events.CommitFinished, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(event.job)
    if queue is not None and queue.job.status is JobStatus.COMMITTING:
        end_job(queue, JobStatus.SUCCEEDED, None, now_ms, out)


def commit_failed(state: State, event: events.CommitFailed, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(event.job)
    if queue is not None and queue.job.status is JobStatus.COMMITTING:
        end_job(queue, JobStatus.FAILED, event.failure, now_ms, out)


def cleanup_finished(state: State, event: events.CleanUpFinished, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(event.job)
    if queue is not None and queue.cleaning:
        out.facts.append(facts.JobCleaned(now_ms, event.job))
        out.commands.append(commands.ArchiveJob(event.job))


def job_archived(state: State, event: events.JobArchived, now_ms: int, out: Outcome) -> None:
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


def end_overdue(state: State, now_ms: int, out: Outcome) -> None:
    """Fail the jobs that have run for longer than their timeout. One that commits is left to end by itself."""
    for job_id, due_ms in state.deadlines.items():
        if due_ms <= now_ms:
            queue = state.queues[job_id]
            end_job(queue, JobStatus.FAILED, _overdue(queue), now_ms, out)


def _overdue(queue: JobQueue) -> Failure:
    job = queue.job
    reached = "its input was still being planned"
    if job.planned:
        reached = (
            f"{queue.accepted_maps} of {len(job.maps)} map and {queue.accepted_reduces} of {len(job.reduces)} reduce "
            "tasks were done"
        )
    message = (
        f"the job was not done within its jobTimeoutSeconds of {job.spec.job_timeout_seconds}: {reached}; "
        "raise jobTimeoutSeconds, or give the job more workers"
    )
    return Failure(JobTimeout.reason, message, retryable=False)


def choose_splitters(job: Job, samplers: Iterable[Task], now_ms: int, out: Outcome) -> None:
    """All samplers are done: let the maps begin."""
    out.facts.append(facts.SplittersChosen(now_ms, job.id, splitters_of(samplers, job.spec.n_reducers)))


def start_commit(job: Job, now_ms: int, out: Outcome) -> None:
    out.facts.append(facts.CommitStarted(now_ms, job.id))
    out.commands.append(commands.CommitOutput(job.id))


def end_job(
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
