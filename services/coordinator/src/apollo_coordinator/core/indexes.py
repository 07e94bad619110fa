"""Upkeep of the indexes in State. Called by `apply` alone."""

import heapq

from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_coordinator.core import facts
from apollo_coordinator.core.model import Job, JobStatus, Task, TaskKind, TaskStatus
from apollo_coordinator.core.state import (
    JobQueue,
    Listing,
    State,
    Timer,
    counted_failures,
    counted_hand_backs,
    counted_losses,
)
from apollo_coordinator.core.transitions import TASK, moved

STALE_LISTINGS = 4
MIN_STALE_LISTINGS = 64
"""Of each job in the heap of jobs, before the heap is made anew."""

FREE_LOSSES = 2
"""Attempts of a task that were lost or handed back and are repeated at once; then they wait as failed ones do."""


def refresh(state: State, queue: JobQueue) -> None:
    """List the job among those that may start an attempt, under its present share, or take it off."""
    _drop_stale(queue)
    listing = Listing(queue.share, queue.turn, queue.number, queue.job.id) if queue.may_start else None
    if listing != queue.listed:
        queue.listed = listing
        if listing is not None:
            heapq.heappush(state.ready, listing)
    refresh_bound(state, queue.job.id)
    if len(state.ready) > STALE_LISTINGS * len(state.queues) + MIN_STALE_LISTINGS:
        state.ready = [listed.listed for listed in state.queues.values() if listed.listed is not None]
        heapq.heapify(state.ready)
    while state.ready and not is_listed(state, state.ready[0]):
        heapq.heappop(state.ready)


def is_listed(state: State, listing: Listing) -> bool:
    """Whether an entry of `State.ready` is the present one of its job."""
    queue = state.queues.get(listing.job)
    return queue is not None and queue.listed == listing


def refresh_bound(state: State, binding: JobId | None) -> None:
    if binding is None:
        return
    queue = state.queues.get(binding)
    if queue is not None and queue.listed is not None and state.idle.get(binding):
        state.ready_bound[binding] = None
    else:
        state.ready_bound.pop(binding, None)


def _drop_stale(queue: JobQueue) -> None:
    """Keep the top of the heap that the next task comes from true."""
    _drop_started(queue.pending_samplers, queue.job.samplers)
    _drop_started(queue.pending_maps, queue.job.maps)
    if not queue.pending_maps and queue.maps_done:
        _drop_started(queue.pending_reduces, queue.job.reduces)


def _drop_started(heap: list[int], tasks: list[Task]) -> None:
    while heap and tasks[heap[0]].status is not TaskStatus.SCHEDULED:
        heapq.heappop(heap)


# Tasks


def move_task(job: Job, task: Task, fact: facts.Fact, status: TaskStatus) -> None:
    """The one way that a task's status changes, so that the job's tallies hold. InvalidTransition."""
    before, task.status = task.status, moved(TASK, task.status, fact, status, task)
    job.tally_of(task.kind).moved(before, status)


def put_off(state: State, queue: JobQueue, task: Task, now_ms: int) -> None:
    """Make a task ready for its next attempt, after a delay that doubles with each that ended badly."""
    losses = counted_losses(task.attempts) + counted_hand_backs(task.attempts)
    waits = counted_failures(task.attempts) + max(0, losses - FREE_LOSSES)
    if waits == 0:
        make_pending(queue, task, now_ms)
        return
    limits = state.limits
    delay_ms = min(limits.retry_delay_ms << min(waits - 1, 32), limits.max_retry_delay_ms)
    queue.task_timers += 1
    _set_timer(state, now_ms + delay_ms, queue.job.id, task)


def pause(state: State, queue: JobQueue, now_ms: int) -> None:
    """A volume is full: start no attempt of the job for a while, longer each time, then one before the others."""
    if now_ms < queue.paused_until_ms:  # attempts that run together meet the same full volume
        return
    limits = state.limits
    length_ms = min(limits.volume_full_pause_ms << min(queue.pauses, 32), limits.max_volume_full_pause_ms)
    queue.pauses += 1
    queue.paused = queue.cautious = True
    queue.paused_until_ms = now_ms + length_ms
    queue.cautious_until_ms = queue.paused_until_ms + length_ms
    for due_ms in (queue.paused_until_ms, queue.cautious_until_ms):
        _set_timer(state, due_ms, queue.job.id, None)


def fire_timers(state: State, now_ms: int) -> None:
    while state.timers and state.timers[0].due_ms <= now_ms:
        timer = heapq.heappop(state.timers)
        queue = state.queues.get(timer.job)
        if queue is None or queue.job.status is not JobStatus.RUNNING:
            continue
        if timer.task is None:
            queue.paused = queue.paused_until_ms > now_ms
            queue.cautious = queue.cautious and queue.cautious_until_ms > now_ms
            queue.held_until_ms = now_ms
        else:
            queue.task_timers -= 1
            if timer.task.status is TaskStatus.SCHEDULED:
                make_pending(queue, timer.task, now_ms)
        refresh(state, queue)


def make_pending(queue: JobQueue, task: Task, now_ms: int) -> None:
    task.ready_ms = now_ms
    heaps = {
        TaskKind.SAMPLE: queue.pending_samplers,
        TaskKind.MAP: queue.pending_maps,
        TaskKind.REDUCE: queue.pending_reduces,
    }
    heapq.heappush(heaps[task.kind], task.index)


def _set_timer(state: State, due_ms: int, job: JobId, task: Task | None) -> None:
    state.timers_created += 1
    heapq.heappush(state.timers, Timer(due_ms, state.timers_created, job, task))


# Workers and clean-up


def occupy(state: State, worker_id: WorkerId, attempt: AttemptId) -> None:
    worker = state.workers.get(worker_id)
    if worker is None:  # folding the journal: workers are announced later
        return
    worker.attempt = attempt
    state.idle.get(worker.job, {}).pop(worker_id, None)
    refresh_bound(state, worker.job)


def make_idle(state: State, worker_id: WorkerId) -> None:
    """Nothing runs on the worker: it may get an attempt, or may go if it drains. In quarantine it waits."""
    worker = state.workers[worker_id]
    if worker.draining:
        state.drained[worker_id] = None
    elif not worker.quarantined:
        state.idle.setdefault(worker.job, {})[worker_id] = None
        refresh_bound(state, worker.job)


def note_cleanable(state: State, queue: JobQueue) -> None:
    if queue.job.status.ended and not queue.cleaning and not queue.outstanding:
        state.cleanable[queue.job.id] = None


# The rest


def note_artifacts(state: State, job: Job) -> None:
    for digest in job.spec.artifact_digests:
        state.artifact_uses.setdefault(digest, {})[job.id] = None


def forget_artifacts(state: State, job: Job) -> None:
    for digest in job.spec.artifact_digests:
        uses = state.artifact_uses[digest]
        del uses[job.id]
        if not uses:
            del state.artifact_uses[digest]


def trouble(state: State, job: JobId, message: str) -> None:
    state.jobs[job].trouble = message
    state.troubled[job] = True


def trouble_over(state: State, job: JobId) -> None:
    if state.troubled.pop(job, False):
        state.jobs[job].trouble = ""
