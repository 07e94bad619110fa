"""`apply(state, fact)`: the only way that the state changes. It decides nothing, so any core can fold any journal."""

from collections.abc import Callable
from typing import Any

from apollo_coordinator.core import apply_attempts, apply_jobs, apply_workers, facts
from apollo_coordinator.core.state import State


def apply(state: State, fact: facts.Fact) -> None:
    """Change the state by one fact. InvalidTransition when it cannot follow."""
    _APPLY[type(fact)](state, fact)


_APPLY: dict[type, Callable[[State, Any], None]] = {
    facts.JobAccepted: apply_jobs.job_accepted,
    facts.JobStarted: apply_jobs.job_started,
    facts.MapsPlanned: apply_jobs.maps_planned,
    facts.SplittersChosen: apply_jobs.splitters_chosen,
    facts.AttemptStarted: apply_attempts.attempt_started,
    facts.AttemptReattached: apply_attempts.attempt_reattached,
    facts.UploadOpened: apply_attempts.upload_opened,
    facts.AttemptAccepted: apply_attempts.attempt_accepted,
    facts.AttemptFailed: apply_attempts.attempt_failed,
    facts.AttemptLost: apply_attempts.attempt_lost,
    facts.AttemptCancelled: apply_attempts.attempt_cancelled,
    facts.MapOutputLost: apply_attempts.map_output_lost,
    facts.CommitStarted: apply_jobs.commit_started,
    facts.JobEnded: apply_jobs.job_ended,
    facts.JobCleaned: apply_jobs.job_cleaned,
    facts.Recovered: apply_workers.recovered,
    facts.GraceBegan: apply_workers.grace_began,
    facts.GraceEnded: apply_workers.grace_ended,
    facts.WorkerAdded: apply_workers.worker_added,
    facts.DrainStarted: apply_workers.drain_started,
    facts.WorkerRemoved: apply_workers.worker_removed,
    facts.WorkerSuspected: apply_workers.worker_suspected,
    facts.WorkerTrusted: apply_workers.worker_trusted,
    facts.StreamEnded: apply_workers.stream_ended,
    facts.ProgressSeen: apply_attempts.progress_seen,
    facts.TroubleSeen: apply_jobs.trouble_seen,
    facts.TroubleOver: apply_jobs.trouble_that_is_over,
    facts.TimersFired: apply_attempts.timers_fired,
    facts.PoolScaled: apply_jobs.pool_scaled,
    facts.StragglersSought: apply_attempts.stragglers_sought,
    facts.CleanUpStarted: apply_jobs.cleanup_started,
    facts.JobRestored: apply_jobs.job_restored,
    facts.JobArchived: apply_jobs.job_archived,
    facts.TasksDropped: apply_jobs.tasks_dropped,
    facts.JobForgotten: apply_jobs.job_forgotten,
}
