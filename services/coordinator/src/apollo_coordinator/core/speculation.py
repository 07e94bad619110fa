"""Backup attempts: which running attempts are stragglers, and where a second attempt of their tasks starts.

After LATE (Zaharia et al., Improving MapReduce Performance in Heterogeneous Environments, OSDI 2008) and section 3.6 of
the MapReduce paper: by progress rate, the longest estimated time left first, few at a time, on workers that are idle
anyway. Rates are bytes per millisecond and all estimates are for the task's own bytes, so a task with ten times the
input that goes at the usual rate is no straggler.

Only a tick searches, a job at most every `straggler_search_ms`, and the work of one search is bounded.
"""

import heapq
from collections.abc import Iterator
from itertools import chain, islice
from statistics import median
from typing import NamedTuple

from apollo_common.ids import WorkerId, attempt_id
from apollo_coordinator.core import commands, facts
from apollo_coordinator.core.assign import CANDIDATE_WORKERS, Move, first_command, started
from apollo_coordinator.core.bad_records import skips
from apollo_coordinator.core.failures import failed_alike
from apollo_coordinator.core.model import Attempt, AttemptStatus, JobStatus, Task
from apollo_coordinator.core.state import (
    JobQueue,
    Running,
    State,
    counted_failures,
    counted_hand_backs,
    counted_losses,
    size_bytes,
)

MAX_SEARCHES_PER_TICK = 16
MAX_BACKUPS_PER_SEARCH = 16
LOOKED_AT_ATTEMPTS = 512
"""Of a job, those that have run longest: as others end, the rest moves up."""

SLOW_RATE = 0.5
"""A straggler goes at less than this part of the usual rate."""

STALLED_TIMES = 3
"""An attempt that has read nothing for so many times what the whole task usually takes is stuck."""


class Usual(NamedTuple):
    """What is usual in a phase of a job: medians, 0 while unknown."""

    bytes_per_ms: float  # of accepted and running attempts
    duration_ms: float  # of accepted attempts

    def expected_ms(self, size: int) -> float:
        """How long a fresh attempt with so many bytes of input takes, 0 while unknown."""
        by_rate = size / self.bytes_per_ms if self.bytes_per_ms else 0.0
        return max(self.duration_ms, by_rate)


def seek_backups(state: State, now_ms: int) -> Iterator[Move]:
    """Start backup attempts of stragglers on idle workers. Each move is to be applied before the next is asked for."""
    for queue in _due(state, now_ms):
        room = _room(state, queue)
        for task in islice(stragglers(state, queue, now_ms), room):
            worker = _idle_worker(state, queue, task)
            if worker is None:
                yield from _ask_for_a_worker(queue, now_ms)
                break
            attempt = attempt_id(task.id, len(task.attempts))
            fact = started(state, attempt, worker, now_ms, speculative=True)
            yield fact, [first_command(queue, task, attempt, worker)]
        yield facts.StragglersSought(now_ms, queue.job.id), []


def stragglers(state: State, queue: JobQueue, now_ms: int) -> Iterator[Task]:
    """Tasks of the job's present phase that a backup attempt would finish sooner, the one with most time left first."""
    looked_at = [
        running
        for running in islice(queue.running.values(), LOOKED_AT_ATTEMPTS)
        if running.task.kind is queue.phase and now_ms - running.attempt.started_ms >= state.limits.backup_after_ms
    ]
    usual = _usual(queue, looked_at, now_ms)
    found = [
        (-left_ms, running.attempt.started_ms, running.task.index, running.task)
        for running in looked_at
        if _may_be_backed_up(state, queue, running)
        and (left_ms := time_left_ms(running.task, running.attempt, usual, now_ms)) is not None
    ]
    return (task for _, _, _, task in sorted(found))


def time_left_ms(task: Task, attempt: Attempt, usual: Usual, now_ms: int) -> float | None:
    """How long a straggler will still take, as it seems; None for an attempt that keeps up or is nearly done."""
    size = size_bytes(task, attempt)
    expected_ms = usual.expected_ms(size)
    if not expected_ms:
        return None
    silent_ms = now_ms - attempt.advanced_ms
    if silent_ms > STALLED_TIMES * expected_ms:
        return silent_ms
    rate = attempt.input_bytes / max(1, now_ms - attempt.started_ms)
    if rate == 0 or rate >= SLOW_RATE * usual.bytes_per_ms:
        return None
    left_ms = (size - attempt.input_bytes) / rate
    return left_ms if left_ms > expected_ms else None


def _usual(queue: JobQueue, looked_at: list[Running], now_ms: int) -> Usual:
    samples = queue.samples[queue.phase]
    rates = [sample.size_bytes / sample.duration_ms for sample in samples if sample.size_bytes]
    if rates or not samples:  # where nothing is known of what is done, what still runs tells nothing
        rates += [
            running.attempt.input_bytes / max(1, now_ms - running.attempt.started_ms)
            for running in looked_at
            if running.attempt.input_bytes
        ]
    durations = [sample.duration_ms for sample in samples]
    return Usual(median(rates) if rates else 0.0, median(durations) if durations else 0.0)


def _may_be_backed_up(state: State, queue: JobQueue, running: Running) -> bool:
    """One backup at a time, a bounded number in a task's life, none beyond its budget, none of an orphan."""
    task, limits = running.task, state.limits
    return (
        running.attempt.worker in state.workers
        and sum(1 for attempt in task.attempts if attempt.status is AttemptStatus.RUNNING) == 1
        and not skips(queue.job.spec, task)  # it reads its input twice, and seems to stand still
        and sum(1 for attempt in task.attempts if attempt.speculative) < limits.max_backups_per_task
        and counted_failures(task.attempts) < queue.job.spec.max_attempts
        and failed_alike(queue.job, task, task.attempts) is None
        and counted_losses(task.attempts) < limits.max_lost_attempts
        and counted_hand_backs(task.attempts) < limits.max_handed_back_attempts
    )


def _due(state: State, now_ms: int) -> list[JobQueue]:
    """Jobs to search now, those not searched for the longest first."""
    interval_ms = state.limits.straggler_search_ms
    due = (q for q in state.queues.values() if now_ms - q.sought_ms >= interval_ms and _room(state, q) > 0)
    return heapq.nsmallest(MAX_SEARCHES_PER_TICK, due, key=lambda queue: (queue.sought_ms, queue.number))


def _room(state: State, queue: JobQueue) -> int:
    """How many backups the job may start now: none before every task of its phase has begun."""
    job = queue.job
    wanted = job.spec.speculation and job.status is JobStatus.RUNNING and queue.running
    if not wanted or queue.paused or queue.cautious or queue.task_timers or queue.pending():
        return 0
    share = max(1, len(queue.running) * state.limits.max_backup_percent // 100)
    return min(share - queue.running_backups, queue.worker_cap - len(queue.running), MAX_BACKUPS_PER_SEARCH)


def _idle_worker(state: State, queue: JobQueue, task: Task) -> WorkerId | None:
    """One that does not run the task, if possible not known to be slow, and new to the task."""
    tried = {attempt.worker for attempt in task.attempts}
    running = {attempt.worker for attempt in task.attempts if attempt.status is AttemptStatus.RUNNING}
    idle = chain.from_iterable(
        islice(reversed(state.idle.get(binding, {})), CANDIDATE_WORKERS) for binding in (queue.job.id, None)
    )
    candidates = [worker for worker in idle if worker not in running]
    return min(candidates, key=lambda worker: (state.workers[worker].slow, worker in tried), default=None)


def _ask_for_a_worker(queue: JobQueue, now_ms: int) -> Iterator[Move]:
    """The pool was asked for a worker per task; a straggler that holds the last of them must get one beside it."""
    wanted = min(queue.worker_cap, len(queue.running) + 1)
    if wanted > queue.scaled_workers:
        job = queue.job.id
        yield facts.PoolScaled(now_ms, job, wanted), [commands.ScalePool(job, wanted)]
