"""`decide(state, event, now)` says what an event means and changes nothing; `step` applies that and gives out work."""

from collections.abc import Callable, Iterator
from typing import Any

from apollo_coordinator.core import decide_attempts, decide_jobs, decide_workers, events
from apollo_coordinator.core.apply import apply
from apollo_coordinator.core.assign import Move, next_move
from apollo_coordinator.core.outcome import Outcome
from apollo_coordinator.core.speculation import seek_backups
from apollo_coordinator.core.state import State


def step(state: State, event: events.Event, now_ms: int) -> Outcome:
    """Decide, apply, then give out work until nothing more can be given out; idle workers back up stragglers."""
    outcome = decide(state, event, now_ms)
    for fact in outcome.facts:
        apply(state, fact)
    for fact, command in _moves(state, event, now_ms):
        apply(state, fact)
        outcome.facts.append(fact)
        outcome.commands.extend(command)
    return outcome


def decide(state: State, event: events.Event, now_ms: int) -> Outcome:
    """The facts that follow from an event, and the commands to run once they are durable."""
    outcome = Outcome([], [])
    _DECIDE[type(event)](state, event, now_ms, outcome)
    return outcome


def _moves(state: State, event: events.Event, now_ms: int) -> Iterator[Move]:
    """Each is to be applied before the next is asked for."""
    while (move := next_move(state, now_ms)) is not None:
        yield move
    if isinstance(event, events.Tick):
        yield from seek_backups(state, now_ms)


_DECIDE: dict[type, Callable[[State, Any, int, Outcome], None]] = {
    events.JobSubmitted: decide_jobs.job_submitted,
    events.StopRequested: decide_jobs.stop_requested,
    events.InputPlanned: decide_jobs.input_planned,
    events.PlanFailed: decide_jobs.plan_failed,
    events.AccessDelayed: decide_jobs.delayed,
    events.QuarantineDelayed: decide_jobs.delayed,
    events.WorkerJoined: decide_workers.worker_joined,
    events.WorkerDraining: decide_workers.worker_draining,
    events.WorkerLeft: decide_workers.worker_left,
    events.PoolTroubled: decide_workers.pool_troubled,
    events.JournalStalled: decide_jobs.journal_stalled,
    events.JournalWritten: decide_jobs.journal_written,
    events.OutputOpened: decide_attempts.output_opened,
    events.OutputOpenFailed: decide_attempts.output_open_failed,
    events.AttemptProgressed: decide_attempts.attempt_progressed,
    events.AttemptDone: decide_attempts.attempt_done,
    events.AttemptFailed: decide_attempts.attempt_failed,
    events.FetchFailed: decide_attempts.fetch_failed,
    events.AttemptCancelled: decide_attempts.attempt_cancelled,
    events.AttemptLost: decide_attempts.attempt_lost,
    events.CommitDelayed: decide_jobs.commit_delayed,
    events.CommitFinished: decide_jobs.commit_finished,
    events.CommitFailed: decide_jobs.commit_failed,
    events.CleanUpFinished: decide_jobs.cleanup_finished,
    events.JobArchived: decide_jobs.job_archived,
    events.Restarted: decide_workers.restarted,
    events.PoolStarted: decide_workers.pool_started,
    events.Tick: decide_workers.tick,
}
