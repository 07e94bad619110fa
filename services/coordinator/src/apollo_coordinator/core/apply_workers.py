"""How facts about workers change the state."""

import math

from apollo_common.ids import JobId, job_of
from apollo_coordinator.core import facts
from apollo_coordinator.core.indexes import make_idle, note_cleanable, occupy, refresh_bound, trouble_over
from apollo_coordinator.core.model import Worker
from apollo_coordinator.core.state import MAX_RECORDS, Record, State, known_as, task_of


def worker_added(state: State, fact: facts.WorkerAdded) -> None:
    state.workers[fact.worker] = Worker(
        fact.worker,
        fact.address,
        fact.job,
        joined_ms=fact.at_ms,
        heard_ms=fact.at_ms,
        pod_name=fact.pod_name,
        sandbox=fact.sandbox,
        quarantined=fact.quarantined,
        draining=fact.draining,
    )
    if fact.quarantined:
        state.quarantined[fact.worker] = state.records[known_as(fact.worker)].quarantined_until_ms
    elif not fact.draining:
        state.worker_counts[fact.job] = state.worker_counts.get(fact.job, 0) + 1
    if not fact.draining:
        _end_troubles(state, fact.job)
    if fact.attempt is None:
        make_idle(state, fact.worker)
        return
    occupy(state, fact.worker, fact.attempt)
    queue = state.queues.get(job_of(fact.attempt))
    if queue is not None:
        queue.outstanding[fact.attempt] = fact.worker
        state.cleanable.pop(queue.job.id, None)


def _end_troubles(state: State, binding: JobId | None) -> None:
    """A worker has come to a job, or (None) to all."""
    for job in list(state.troubled) if binding is None else [binding]:
        queue = state.queues.get(job)
        if queue is None or not queue.cautious:  # a worker makes no room on a volume
            trouble_over(state, job)


def drain_started(state: State, fact: facts.DrainStarted) -> None:
    worker = state.workers[fact.worker]
    if worker.usable:
        state.worker_counts[worker.job] -= 1
    state.quarantined.pop(worker.id, None)
    worker.quarantined, worker.draining = False, True
    state.idle.get(worker.job, {}).pop(worker.id, None)
    refresh_bound(state, worker.job)
    if worker.attempt is None:
        make_idle(state, worker.id)


def worker_removed(state: State, fact: facts.WorkerRemoved) -> None:
    worker = state.workers.pop(fact.worker)
    state.idle.get(worker.job, {}).pop(worker.id, None)
    state.quarantined.pop(worker.id, None)
    state.drained.pop(worker.id, None)
    if worker.usable:
        state.worker_counts[worker.job] -= 1
    for index in (state.idle, state.worker_counts):  # a job's own entries go with the last of its workers
        if not index.get(worker.job):
            index.pop(worker.job, None)
    refresh_bound(state, worker.job)


def worker_suspected(state: State, fact: facts.WorkerSuspected) -> None:
    worker = state.workers[fact.worker]
    task = task_of(fact.attempt)
    if fact.lost:
        _record(state, worker).losses += 1
    elif task not in worker.failed_tasks and len(worker.failed_tasks) < state.limits.quarantine_after_tasks:
        worker.failed_tasks.append(task)
    if fact.quarantined:
        _record(state, worker).quarantined_until_ms = fact.at_ms + state.limits.quarantine_ms
        worker.quarantined = True
        state.worker_counts[worker.job] -= 1


def _record(state: State, worker: Worker) -> Record:
    record = state.records.setdefault(known_as(worker.id), Record())
    if len(state.records) > MAX_RECORDS:
        del state.records[next(iter(state.records))]
    return record


def worker_trusted(state: State, fact: facts.WorkerTrusted) -> None:
    worker = state.workers[fact.worker]
    worker.quarantined = False
    del state.quarantined[worker.id]
    state.records.pop(known_as(worker.id), None)
    state.worker_counts[worker.job] = state.worker_counts.get(worker.job, 0) + 1
    if worker.attempt is None:
        make_idle(state, worker.id)


def stream_ended(state: State, fact: facts.StreamEnded) -> None:
    queue = state.queues.get(job_of(fact.attempt))
    if queue is not None:
        queue.outstanding.pop(fact.attempt, None)
        note_cleanable(state, queue)
    worker = state.workers.get(fact.worker)
    if worker is None or worker.attempt != fact.attempt:
        return
    worker.attempt = None
    worker.heard_ms = fact.at_ms
    if fact.succeeded:
        worker.failed_tasks.clear()
        worker.slow = False
        if not worker.quarantined:
            state.records.pop(known_as(worker.id), None)
    make_idle(state, worker.id)


def recovered(state: State, fact: facts.Recovered) -> None:
    for queue in state.queues.values():
        queue.outstanding.clear()
        queue.advanced_ms = fact.at_ms
        for running in queue.running.values():
            state.orphans[running.attempt.worker] = running.attempt.id
            running.attempt.advanced_ms = fact.at_ms  # it may have gone on while nobody listened
    state.orphans_due_ms = math.inf


def grace_began(state: State, fact: facts.GraceBegan) -> None:
    state.orphans_due_ms = fact.at_ms + state.limits.reattach_grace_ms


def grace_ended(state: State, _fact: facts.GraceEnded) -> None:
    state.orphans.clear()
    state.orphans_due_ms = None
    for queue in state.queues.values():
        note_cleanable(state, queue)
