"""Which workers are not to be trusted with more work."""

from apollo_common.ids import job_of
from apollo_coordinator.core import commands, facts
from apollo_coordinator.core.outcome import Outcome
from apollo_coordinator.core.state import Running, State


def suspect(state: State, running: Running, now_ms: int, out: Outcome) -> None:
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
