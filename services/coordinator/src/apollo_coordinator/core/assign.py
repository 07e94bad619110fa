"""What to do next: start queued jobs and attempts on idle workers, tell the pool a wish or that a worker may go, clean
up. One move at a time.

Fair sharing: a worker that serves any job goes to the one with the fewest running attempts for its priority, among
equals to the one whose last turn was longest ago; within a job, tasks run in order of their index, maps before reduces.
"""

import heapq
from collections.abc import Iterator
from itertools import islice

from apollo_common.ids import AttemptId, JobId, WorkerId, attempt_id, job_of
from apollo_coordinator.core import commands, facts
from apollo_coordinator.core.indexes import is_listed
from apollo_coordinator.core.model import AttemptStatus, Departure, Task, TaskKind, TaskStatus
from apollo_coordinator.core.state import JobQueue, State

CANDIDATE_WORKERS = 8
CANDIDATE_TASKS = 16
"""How many idle workers and pending tasks are looked at to keep a task off the workers that it failed on."""

Move = tuple[facts.Fact, list[commands.Command]]


def next_move(state: State, now_ms: int) -> Move | None:
    """One fact and its commands, or None when nothing can be started now."""
    if state.queued:
        started = _start_job(state, now_ms)
        if started is not None:
            return started
    if state.unscaled:
        return _scale(state, now_ms)
    if state.drained:
        worker = next(iter(state.drained))
        return facts.WorkerRemoved(now_ms, worker, Departure.RELEASED), [
            commands.ReleaseWorker(worker, "it is idle, and was told to end")
        ]
    if state.cleanable:
        job = next(iter(state.cleanable))
        return facts.CleanUpStarted(now_ms, job), [commands.CleanUp(job)]
    return _assign(state, now_ms)


def _start_job(state: State, now_ms: int) -> Move | None:
    limits = state.limits
    if state.running_jobs >= limits.max_running_jobs or state.running_tasks >= limits.max_running_tasks:
        return None

    def claim(job: JobId) -> int:
        """Its priority, which rises while it waits: nobody waits for ever behind jobs that keep coming."""
        waited_ms = now_ms - state.jobs[job].created_ms
        return state.jobs[job].spec.priority + waited_ms // limits.queue_ageing_ms

    job = max(state.queued, key=claim)  # the oldest of the highest
    return facts.JobStarted(now_ms, job), [commands.PlanInput(job)]


def _scale(state: State, now_ms: int) -> Move:
    job = next(iter(state.unscaled))
    queue = state.queues[job]
    workers = 0
    if not queue.job.status.ended:
        wanted = len(queue.job.reduces) - queue.accepted_reduces
        if not queue.maps_done:  # samplers are fewer, and their workers are those of the maps
            wanted = len(queue.job.maps) - queue.accepted_maps
        workers = min(queue.worker_cap, wanted)
    changed = workers != queue.scaled_workers
    return facts.PoolScaled(now_ms, job, workers), [commands.ScalePool(job, workers)] if changed else []


def _assign(state: State, now_ms: int) -> Move | None:
    for job in reversed(state.ready_bound):
        move = _start_attempt(state, state.queues[job], job, now_ms)
        if move is not None:
            return move
    if not state.idle.get(None):
        return None
    for queue in _by_share(state):
        move = _start_attempt(state, queue, None, now_ms)
        if move is not None:
            return move
    return None


def _by_share(state: State) -> Iterator[JobQueue]:
    """Jobs that may start an attempt, the most deserving first. The common case looks at the first one only."""
    if not state.ready:
        return
    first = state.ready[0]
    yield state.queues[first.job]
    for listing in heapq.nsmallest(len(state.ready), state.ready):
        if listing is not first and is_listed(state, listing):
            yield state.queues[listing.job]


def _start_attempt(state: State, queue: JobQueue, binding: JobId | None, now_ms: int) -> Move | None:
    found = _match(state, queue, binding, now_ms)
    if found is None:
        return None
    worker, task = found
    attempt = attempt_id(task.id, len(task.attempts))
    return started(state, attempt, worker, now_ms), [first_command(queue, task, attempt, worker)]


def started(
    state: State, attempt: AttemptId, worker: WorkerId, now_ms: int, *, speculative: bool = False
) -> facts.AttemptStarted:
    """That it starts, and what there was to choose from."""
    workers = state.worker_counts.get(job_of(attempt), 0) + state.worker_counts.get(None, 0)
    return facts.AttemptStarted(now_ms, attempt, worker, speculative, workers, state.workers[worker].joined_ms)


def first_command(queue: JobQueue, task: Task, attempt: AttemptId, worker: WorkerId) -> commands.Command:
    if task.kind is TaskKind.REDUCE or queue.job.spec.n_reducers == 0:  # such a job has no samplers
        return commands.OpenOutput(attempt, worker)
    return commands.RunAttempt(attempt, worker)


def _match(state: State, queue: JobQueue, binding: JobId | None, now_ms: int) -> tuple[WorkerId, Task] | None:
    """An idle worker and a pending task that may run there."""
    idle = state.idle[binding]
    tasks = queue.pending_tasks()
    pending = queue.pending()
    first = tasks[pending[0]]
    if not first.attempts:
        return next(reversed(idle)), first
    candidates = [tasks[index] for index in sorted(pending[:CANDIDATE_TASKS])]
    for worker in islice(reversed(idle), CANDIDATE_WORKERS):
        for task in candidates:
            if task.status is TaskStatus.SCHEDULED and not _avoids(state, task, worker, binding, now_ms):
                return worker, task
    return None


def _avoids(state: State, task: Task, worker: WorkerId, binding: JobId | None, now_ms: int) -> bool:
    """Whether to keep a task off a worker that it failed on lately, while there are others that it may wait for."""
    failed = {attempt.worker for attempt in task.attempts if attempt.status is AttemptStatus.FAILED}
    if worker not in failed or now_ms - (task.attempts[-1].ended_ms or 0) > state.limits.avoid_worker_ms:
        return False
    others = state.worker_counts.get(binding, 0) - sum(1 for other in sorted(failed) if other in state.workers)
    return others > 0
