"""What it means that workers come and go, that the coordinator starts again, and that time passes."""

from apollo_common.errors import OutOfMemory, WorkerUnreachable
from apollo_common.ids import TaskId
from apollo_coordinator.core import commands, events, facts
from apollo_coordinator.core.decide_jobs import choose_splitters, end_overdue, start_commit
from apollo_coordinator.core.model import Departure, Failure, JobStatus, Worker
from apollo_coordinator.core.outcome import Outcome
from apollo_coordinator.core.setbacks import end_if_spent, fail, lose
from apollo_coordinator.core.state import JobQueue, Running, State
from apollo_coordinator.core.trust import comes_in_quarantine, end_quarantines, suspect


def worker_joined(state: State, event: events.WorkerJoined, now_ms: int, out: Outcome) -> None:
    if event.worker in state.workers:
        return
    own = state.running(state.orphans[event.worker]) if event.worker in state.orphans else None
    moved = _ran_under_another_name(state, event)
    # A worker that says it is idle may have ended the attempt while nobody listened; it still knows the result.
    attempt = event.attempt or (own.attempt.id if own else None)
    quarantined = not event.draining and comes_in_quarantine(state, event.worker, event.job, now_ms)
    if moved is not None:
        out.facts.append(facts.AttemptReattached(now_ms, moved.attempt.id, event.worker))
    out.facts.append(
        facts.WorkerAdded(
            now_ms,
            event.worker,
            event.address,
            event.job,
            event.pod_name,
            attempt,
            quarantined,
            event.draining,
            event.sandbox,
        ),
    )
    if attempt is None:
        return
    out.commands.append(commands.AttachAttempt(attempt, event.worker))
    forgotten = own is not None and own.attempt.id != attempt
    if moved is None and (own is None or forgotten):
        out.commands.append(commands.CancelAttempt(attempt, event.worker, "nobody waits for the attempt any more"))
    if own is not None and forgotten:
        lose(state, own, Failure(WorkerUnreachable.reason, "the worker forgot the attempt"), now_ms, out)


def _ran_under_another_name(state: State, event: events.WorkerJoined) -> Running | None:
    """The attempt that the worker says it runs, if another name stood for the worker before the coordinator died.

    A pool that meets a worker twice calls it otherwise the second time, and by its first name after a restart.
    """
    running = state.running(event.attempt) if event.attempt is not None else None
    if running is None or running.attempt.worker == event.worker or running.attempt.worker in state.workers:
        return None
    return running if state.orphans.get(running.attempt.worker) == running.attempt.id else None


def worker_draining(state: State, event: events.WorkerDraining, now_ms: int, out: Outcome) -> None:
    worker = state.workers.get(event.worker)
    if worker is not None and not worker.draining:
        out.facts.append(facts.DrainStarted(now_ms, event.worker))


def worker_left(state: State, event: events.WorkerLeft, now_ms: int, out: Outcome) -> None:
    worker = state.workers.get(event.worker)
    if worker is None:
        return
    running = state.running(worker.attempt) if worker.attempt else None
    if running is not None and event.fault:
        fail(state, running, Failure(event.fault, event.message), now_ms, out)
    elif running is not None:
        failure = Failure(WorkerUnreachable.reason, event.message)
        suspect(state, running, now_ms, out, lost=True)
        lose(state, running, failure, now_ms, out)
    out.facts.append(facts.WorkerRemoved(now_ms, event.worker, _departure(worker, event)))


def _departure(worker: Worker, event: events.WorkerLeft) -> Departure:
    if event.fault == OutOfMemory.reason:
        return Departure.OUT_OF_MEMORY
    return Departure.RELEASED if worker.draining else Departure.GONE


def pool_troubled(state: State, event: events.PoolTroubled, now_ms: int, out: Outcome) -> None:
    if state.worker_counts.get(event.job):  # those that are there do the work
        return
    out.facts.append(facts.TroubleSeen(now_ms, event.job, event.message))


def restarted(state: State, _event: events.Restarted, now_ms: int, out: Outcome) -> None:
    for queue in state.queues.values():
        _end_lost_races(queue, now_ms, out)
    out.facts.append(facts.Recovered(now_ms))
    for queue in state.queues.values():
        if queue.job.status is JobStatus.RUNNING and not queue.job.planned:
            out.commands.append(commands.PlanInput(queue.job.id))
        elif queue.job.status is JobStatus.RUNNING and queue.sampling and queue.samplers_done:
            choose_splitters(queue.job, queue.job.samplers, now_ms, out)  # the journal ends between two facts
        elif queue.job.status is JobStatus.RUNNING and queue.all_done:  # likewise
            start_commit(queue.job, now_ms, out)
        elif queue.job.status is JobStatus.COMMITTING:
            out.commands.append(commands.CommitOutput(queue.job.id))
        elif queue.job.status is JobStatus.RUNNING:
            end_if_spent(state, queue, now_ms, out)
    out.commands.extend(
        commands.ArchiveJob(job.id) for job in state.jobs.values() if job.totals is None and job.id not in state.queues
    )


def pool_started(state: State, event: events.PoolStarted, now_ms: int, out: Outcome) -> None:
    if event.all_back:
        _lose_orphans(state, "the worker ended while the coordinator was away", now_ms, out)
    else:
        out.facts.append(facts.GraceBegan(now_ms))


def _end_lost_races(queue: JobQueue, now_ms: int, out: Outcome) -> None:
    """Cancel attempts of tasks that have a result already, should the journal end before it says so."""
    for task, attempt in queue.running.values():
        if task.accepted is not None:
            out.facts.append(facts.AttemptCancelled(now_ms, attempt.id, f"attempt {task.accepted} was done first"))


def tick(state: State, _event: events.Tick, now_ms: int, out: Outcome) -> None:
    if state.timers and state.timers[0].due_ms <= now_ms:
        out.facts.append(facts.TimersFired(now_ms))
    if state.orphans_due_ms is not None and state.orphans_due_ms <= now_ms:
        _lose_orphans(state, "the worker did not come back after the coordinator was restarted", now_ms, out)
    else:  # a job ends once: what the orphans left is judged on the next tick
        end_overdue(state, now_ms, out)
    end_quarantines(state, now_ms, out)
    _forget_oldest(state, now_ms, out)


def _lose_orphans(state: State, why: str, now_ms: int, out: Outcome) -> None:
    """Nobody waits any more for workers to come back."""
    failure = Failure(WorkerUnreachable.reason, why)
    for queue in state.queues.values():
        lost: dict[TaskId, int] = {}
        for running in queue.running.values():
            if running.attempt.worker in state.workers:
                continue
            beside = lost.get(running.task.id, 0)
            if lose(state, running, failure, now_ms, out, lost_beside=beside):
                break
            lost[running.task.id] = beside + 1
    out.facts.append(facts.GraceEnded(now_ms))


def _forget_oldest(state: State, now_ms: int, out: Outcome) -> None:
    """One at a time: a job may take the journal a while to forget. Jobs that are not cleaned up hold up nobody."""
    if not state.ended:
        return
    ended_ms, job = state.ended[0]
    if ended_ms + state.limits.retention_ms <= now_ms:
        out.facts.append(facts.JobForgotten(now_ms, job))
        out.commands.append(commands.ForgetJob(job))
