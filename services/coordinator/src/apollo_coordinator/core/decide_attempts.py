"""What reports about attempts mean. Exactly one of several attempts of a task is accepted: the first that is done.

Stale messages are ignored by name: an attempt that does not run any more (lost, cancelled, its job over) has no say,
whatever its worker reports; only the worker becomes free.
"""

from dataclasses import replace

from apollo_common.assignment import Counters
from apollo_common.errors import FetchFailed, TooManyBadRecords, WorkerBusy, WorkerDrained, WorkerUnreachable
from apollo_common.ids import job_of
from apollo_coordinator.core import commands, events, facts
from apollo_coordinator.core.bad_records import refusal, too_many
from apollo_coordinator.core.decide_jobs import choose_splitters, end_job, start_commit
from apollo_coordinator.core.model import (
    AttemptOutput,
    AttemptStatus,
    Departure,
    Failure,
    Job,
    JobStatus,
    Task,
    TaskKind,
)
from apollo_coordinator.core.outcome import Outcome
from apollo_coordinator.core.setbacks import fail, lose, verdict
from apollo_coordinator.core.state import EXCUSED_REASONS, Running, State, counted_losses, locate
from apollo_coordinator.core.trust import suspect


def output_opened(state: State, event: events.OutputOpened, now_ms: int, out: Outcome) -> None:
    queue = state.queues.get(job_of(event.attempt))
    if queue is not None and event.attempt in queue.outstanding:
        # Also for an attempt that is over: the clean-up has to know of its upload.
        out.facts.append(facts.UploadOpened(now_ms, event.attempt, event.url, event.upload_id))
    running = state.running(event.attempt)
    if running is not None and not running.attempt.upload_id:
        out.commands.append(commands.RunAttempt(event.attempt, event.worker))
    elif running is None:
        out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))


def output_open_failed(state: State, event: events.OutputOpenFailed, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None:
        fail(state, running, event.failure, now_ms, out)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))


def attempt_progressed(state: State, event: events.AttemptProgressed, now_ms: int, out: Outcome) -> None:
    if (running := state.running(event.attempt)) is not None:
        out.facts.append(
            facts.ProgressSeen(
                now_ms,
                event.attempt,
                event.input_bytes,
                event.input_bytes_total,
                _counted(running.task, event.counters),
                event.status,
                event.timings,
            )
        )


def attempt_done(state: State, event: events.AttemptDone, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None:
        _accept(state, running, event, now_ms, out)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker, succeeded=running is not None))


def _accept(state: State, running: Running, event: events.AttemptDone, now_ms: int, out: Outcome) -> None:
    task, attempt = running
    queue = state.queues[job_of(attempt.id)]
    refused = refusal(queue.job, _counted(task, event.counters))
    if refused is not None:
        fail(state, running, refused, now_ms, out)
        return
    output = AttemptOutput(
        path=event.output_path,
        url=attempt.output_url,
        upload_id=attempt.upload_id,
        parts=event.parts,
        size_bytes=event.size_bytes,
        records=event.records,
        sha256=event.sha256,
        sample=event.sample,
    )
    counters = _counted(task, event.counters)
    out.facts.append(
        facts.AttemptAccepted(
            now_ms,
            attempt.id,
            output,
            counters,
            event.timings,
            attempt.input_bytes_total,
            event.largest_group,
        )
    )
    for other in task.attempts:
        if other.status is AttemptStatus.RUNNING and other is not attempt:
            message = f"attempt {attempt.id} was done first"
            out.facts.append(facts.AttemptCancelled(now_ms, other.id, message))
            out.commands.append(commands.CancelAttempt(other.id, other.worker, message))
    if task.kind is TaskKind.SAMPLE:
        if queue.accepted_samplers + 1 == len(queue.job.samplers):
            done = [replace(other, output=output) if other is task else other for other in queue.job.samplers]
            choose_splitters(queue.job, done, now_ms, out)
        return
    accepted = queue.accepted_maps + queue.accepted_reduces + 1
    if accepted == len(queue.job.maps) + len(queue.job.reduces):
        start_commit(queue.job, now_ms, out)


def _counted(task: Task, counters: Counters) -> Counters:
    """What a sampler reads is read again by a map, which counts it."""
    return {} if task.kind is TaskKind.SAMPLE else counters


def attempt_failed(state: State, event: events.AttemptFailed, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None:
        failure = event.failure
        if failure.reason == TooManyBadRecords.reason:
            failure = too_many(state.jobs[job_of(event.attempt)], failure)
        fail(state, running, failure, now_ms, out)
        if event.failure.retryable and event.failure.reason not in EXCUSED_REASONS:
            _suspect(state, running, now_ms, out, lost=False)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))


def _suspect(state: State, running: Running, now_ms: int, out: Outcome, *, lost: bool) -> None:
    if suspect(state, running, now_ms, out, lost=lost):
        out.commands.append(
            commands.ReleaseWorker(running.attempt.worker, "it fails or loses what other workers do not")
        )


def fetch_failed(state: State, event: events.FetchFailed, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None:
        _suspect(state, running, now_ms, out, lost=True)
        if not lose(state, running, event.failure, now_ms, out):
            _lose_map_output(state, event, now_ms, out)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))


def _lose_map_output(state: State, event: events.FetchFailed, now_ms: int, out: Outcome) -> None:
    """Run the named map again, unless that has happened since the reduce got its list."""
    queue = state.queues[job_of(event.attempt)]
    place = locate(event.map_attempt)
    if place.job == queue.job.spec.redrive_of:
        end_job(queue, JobStatus.FAILED, _adopted_output_lost(queue.job, event), now_ms, out, over=event.attempt)
        return
    if place.job != queue.job.id or place.kind is not TaskKind.MAP or place.task_index >= len(queue.job.maps):
        return
    task = queue.job.maps[place.task_index]
    if task.accepted != event.map_attempt:
        return
    out.facts.append(facts.MapOutputLost(now_ms, event.map_attempt, event.failure))
    if counted_losses(task.attempts) + 1 >= state.limits.max_lost_attempts:
        failure = Failure(
            FetchFailed.reason,
            f"the output of map task {task.id} was lost {state.limits.max_lost_attempts} times; "
            f"check the intermediate volume: {event.failure.message}",
            retryable=False,
            task=task.id,
            attempt=event.map_attempt,
        )
        end_job(queue, JobStatus.FAILED, failure, now_ms, out, over=event.attempt)
        return
    spent = verdict(state, queue, task, task.attempts)
    if spent is not None:  # its other attempts had used up the budget before this one was done
        end_job(queue, JobStatus.FAILED, spent, now_ms, out, over=event.attempt)


def _adopted_output_lost(job: Job, event: events.FetchFailed) -> Failure:
    """No task of this job can make it again."""
    message = (
        f"map output {event.map_attempt}, which this job took over from job {job.spec.redrive_of}, cannot be read: "
        f"{event.failure.message}; have all the input mapped again: apollo redrive {job.spec.redrive_of} --remap, "
        "with the same --mapper and --output"
    )
    return Failure(FetchFailed.reason, message, retryable=False, attempt=event.map_attempt)


def attempt_cancelled(state: State, event: events.AttemptCancelled, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None:  # nobody here asked for it: the worker is going down
        failure = Failure(WorkerUnreachable.reason, "the worker cancelled the attempt by itself")
        _suspect(state, running, now_ms, out, lost=True)
        lose(state, running, failure, now_ms, out)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))


def attempt_lost(state: State, event: events.AttemptLost, now_ms: int, out: Outcome) -> None:
    running = state.running(event.attempt)
    if running is not None:
        if not event.worker_usable and event.failure.reason != WorkerDrained.reason:
            suspect(state, running, now_ms, out, lost=True)
        lose(state, running, event.failure, now_ms, out)
    out.facts.append(facts.StreamEnded(now_ms, event.attempt, event.worker))
    worker = state.workers.get(event.worker)
    if worker is not None and worker.attempt == event.attempt and not event.worker_usable:
        let_go = worker.draining or event.failure.reason in (WorkerDrained.reason, WorkerBusy.reason)
        cause = Departure.RELEASED if let_go else Departure.UNREACHABLE
        out.facts.append(facts.WorkerRemoved(now_ms, event.worker, cause))
        out.commands.append(commands.ReleaseWorker(event.worker, event.failure.message))
