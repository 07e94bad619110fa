"""Which workers are not to be trusted with more work, and for how long.

A worker that fails one task after the other, or loses one attempt after the other, while its job goes well elsewhere,
is itself the fault. It is released, so that its pool may replace it. Where the same one comes back, it waits in
quarantine. At least half of the workers stay in use: when many seem bad, it is something else.
"""

from apollo_common.ids import JobId, job_of
from apollo_coordinator.core import facts
from apollo_coordinator.core.outcome import Outcome
from apollo_coordinator.core.state import Record, Running, State, known_as


def suspect(state: State, running: Running, now_ms: int, out: Outcome, *, lost: bool) -> bool:
    """Note that an attempt failed or was `lost` on its worker. Whether the worker is to be released for it."""
    worker = state.workers.get(running.attempt.worker)
    if worker is None or not worker.usable:
        return False
    if lost:
        bad = state.records.get(known_as(worker.id), Record()).losses + 1 >= state.limits.quarantine_after_losses
    else:
        suspects = len(worker.failed_tasks) + (running.task.id not in worker.failed_tasks)
        bad = suspects >= state.limits.quarantine_after_tasks
    queue = state.queues[job_of(running.attempt.id)]
    elsewhere = queue.accepted_maps + queue.accepted_reduces > 0
    others = state.worker_counts[worker.job] - 1
    quarantined = bad and elsewhere and _enough(state, worker.job, others)
    out.facts.append(facts.WorkerSuspected(now_ms, worker.id, running.attempt.id, quarantined, lost))
    return quarantined


def comes_in_quarantine(state: State, worker: str, binding: JobId | None, now_ms: int) -> bool:
    record = state.records.get(known_as(worker))
    in_use = state.worker_counts.get(binding, 0)
    return record is not None and record.quarantined_until_ms > now_ms and _enough(state, binding, in_use)


def end_quarantines(state: State, now_ms: int, out: Outcome) -> None:
    """Of workers that have waited long enough, or when there are no others."""
    for worker, until_ms in state.quarantined.items():
        if until_ms <= now_ms or not state.worker_counts.get(state.workers[worker].job):
            out.facts.append(facts.WorkerTrusted(now_ms, worker))


def _enough(state: State, binding: JobId | None, others: int) -> bool:
    """Whether more workers stay in use than wait in quarantine."""
    return others > sum(1 for worker in state.quarantined if state.workers[worker].job == binding)
