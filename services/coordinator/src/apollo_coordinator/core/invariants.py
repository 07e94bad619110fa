"""What must hold between any two events. For tests and the simulation: it looks at everything, so it is slow."""

from functools import reduce

from apollo_common.assignment import Counters
from apollo_common.timings import NO_TIMINGS, Timings
from apollo_coordinator.core.admission import output_key
from apollo_coordinator.core.bad_records import bad_records
from apollo_coordinator.core.failures import MAX_FAILURE_GROUPS, failed_alike
from apollo_coordinator.core.model import Attempt, AttemptStatus, Job, JobStatus, Task, TaskKind, TaskStatus, TaskTally
from apollo_coordinator.core.state import (
    MAX_RECORDS,
    JobQueue,
    State,
    counted_failures,
    counted_hand_backs,
    counted_losses,
)
from apollo_coordinator.core.transitions import history


class InvariantBroken(AssertionError):
    pass


def check(state: State) -> None:
    """InvariantBroken, naming the rule and the thing."""
    for job in state.jobs.values():
        _check_job(state, job)
    for queue in state.queues.values():
        _check_queue(state, queue)
    _check_workers(state)
    _check_totals(state)


def _require(holds: bool, rule: str, *, at: object) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise InvariantBroken(f"{rule}: {history(at) if isinstance(at, Task) else at}")


def _check_job(state: State, job: Job) -> None:
    if not state.has_tasks(job):
        _require(job.status.ended and not job.tasks, "a dropped task is gone", at=job.id)
        return
    for task in job.tasks:
        _check_task(state, job, task)
    if job.status is JobStatus.SUCCEEDED or job.status is JobStatus.COMMITTING:
        done = all(task.status is TaskStatus.COMPLETED for task in job.tasks)
        _require(job.planned and done, "a job commits with all its tasks completed", at=job.id)
    for kind in TaskKind:
        statuses = [task.status for task in job.tasks_of(kind)]
        tally = TaskTally(statuses.count(TaskStatus.COMPLETED), statuses.count(TaskStatus.IN_PROGRESS))
        _require(job.tally_of(kind) == tally, f"{kind} tasks are counted", at=job.id)
    _require((job.ended_ms is not None) == job.status.ended, "an ended job has an end", at=job.id)
    _require(job.failure is not None or job.status is not JobStatus.FAILED, "a failed job says why", at=job.id)
    failed = sum(attempt.status is AttemptStatus.FAILED for task in job.tasks for attempt in task.attempts)
    grouped = sum(group.attempts for group in job.failures.values())
    _require(grouped == failed, "every failed attempt is in one group", at=job.id)
    _require(len(job.failures) <= MAX_FAILURE_GROUPS + 1, "groups of failures are bounded", at=job.id)
    total: Counters = {}
    for counters in (job.adopted_counters, *(task.counters for task in job.tasks)):
        for group, names in counters.items():
            for name, value in names.items():
                sums = total.setdefault(group, {})
                sums[name] = sums.get(name, 0) + value
    kept = {
        group: {n: v for n, v in names.items() if v} for group, names in job.counters.items() if any(names.values())
    }
    told = {group: {n: v for n, v in names.items() if v} for group, names in total.items() if any(names.values())}
    _require(kept == told, "a job's counters are those of its accepted attempts and adopted outputs", at=job.id)
    _require(bad_records(job.counters) <= job.spec.max_bad_records, "no more bad records than allowed", at=job.id)
    for tasks, timings in (([*job.samplers, *job.maps], job.map_timings), (job.reduces, job.reduce_timings)):
        accepted = [attempt for task in tasks for attempt in task.attempts if attempt.status is AttemptStatus.SUCCEEDED]
        spent = reduce(Timings.plus, (attempt.timings for attempt in accepted), NO_TIMINGS)
        _require(spent == timings, "a job's timings are those of its accepted attempts", at=job.id)


def _check_task(state: State, job: Job, task: Task) -> None:
    if task.adopted:
        settled = task.status is TaskStatus.COMPLETED and task.output is not None
        _require(settled and not task.attempts, "an adopted output is there from the start and stays", at=task)
        _require(bool(job.spec.redrive_of), "only a redrive adopts outputs", at=task)
        return
    succeeded = [attempt for attempt in task.attempts if attempt.status is AttemptStatus.SUCCEEDED]
    running = [attempt for attempt in task.attempts if attempt.status is AttemptStatus.RUNNING]
    _require(len(succeeded) <= 1, "one accepted attempt per task", at=task)
    _require(task.accepted == (succeeded[0].id if succeeded else None), "the accepted attempt succeeded", at=task)
    _require((task.output is not None) == bool(succeeded), "a result belongs to an accepted attempt", at=task)
    _require((task.status is TaskStatus.COMPLETED) == bool(succeeded), "a completed task has a result", at=task)
    _require(bool(running) == (task.status is TaskStatus.IN_PROGRESS), "a task in progress has attempts", at=task)
    # An attempt and its backup may both end badly when one more use of the budget was left.
    _require(counted_failures(task.attempts) <= job.spec.max_attempts + 1, "failed attempts are bounded", at=task)
    _require(counted_losses(task.attempts) <= state.limits.max_lost_attempts + 1, "lost attempts are bounded", at=task)
    if not job.status.ended and not running and not succeeded:
        _require(failed_alike(job, task, task.attempts) is None, "a task that fails alike fails its job", at=task)
        _require(
            counted_failures(task.attempts) < job.spec.max_attempts, "a task out of attempts fails its job", at=task
        )
        _require(
            counted_losses(task.attempts) < state.limits.max_lost_attempts,
            "a task lost too often fails its job",
            at=task,
        )
        _require(
            counted_hand_backs(task.attempts) < state.limits.max_handed_back_attempts,
            "a task handed back too often fails its job",
            at=task,
        )
    _check_backups(state, task, running)


def _check_backups(state: State, task: Task, running: list[Attempt]) -> None:
    _require(len({attempt.worker for attempt in running}) == len(running), "a backup runs elsewhere", at=task)
    _require(len(running) <= 2, "one backup at a time", at=task)
    backups = [attempt for attempt in task.attempts if attempt.speculative]
    _require(len(backups) <= state.limits.max_backups_per_task, "a task's backups are bounded", at=task)
    for backup in backups:
        backed_up = any(
            other.started_ms <= backup.started_ms and (other.ended_ms is None or other.ended_ms >= backup.started_ms)
            for other in task.attempts[: task.attempts.index(backup)]
        )
        _require(backed_up, "a backup attempt backs up one that runs", at=task)


def _check_queue(state: State, queue: JobQueue) -> None:
    job = queue.job
    running = {attempt.id for task in job.tasks for attempt in task.attempts if attempt.status is AttemptStatus.RUNNING}
    _require(set(queue.running) == running, "the running attempts are indexed", at=job.id)
    _require(
        queue.running_backups == sum(entry.attempt.speculative for entry in queue.running.values()),
        "running backups are counted",
        at=job.id,
    )
    attempts = [attempt for task in job.tasks for attempt in task.attempts]
    backups = sum(attempt.speculative for attempt in attempts)
    _require(job.speculative_attempts == backups, "backup attempts are counted", at=job.id)
    if not job.spec.speculation:
        _require(backups == 0, "a job without speculation has no backups", at=job.id)
    if queue.sampling:
        started = [task.id for task in job.maps if task.attempts]
        _require(not started, "no map starts before the splitters are chosen", at=started)
    if queue.running:
        _require(job.status is JobStatus.RUNNING, "attempts run for running jobs only", at=job.id)
    _require(len(queue.running) <= queue.worker_cap, "maxWorkers holds", at=job.id)
    if job.status is JobStatus.RUNNING:
        _check_pending(state, queue)


def _check_pending(state: State, queue: JobQueue) -> None:
    put_off = [timer.task.id for timer in state.timers if timer.task is not None and timer.job == queue.job.id]
    _require(queue.task_timers == len(put_off), "timers of tasks are counted", at=queue.job.id)
    waiting = {queue.job.samplers[index].id for index in queue.pending_samplers}
    waiting |= {queue.job.maps[index].id for index in queue.pending_maps}
    waiting |= {queue.job.reduces[index].id for index in queue.pending_reduces}
    for task in queue.job.tasks:
        if task.status is TaskStatus.SCHEDULED:
            _require(task.id in waiting or task.id in put_off, "a scheduled task waits for its turn", at=task)
    listing = queue.listed
    _require((listing is not None) == queue.may_start, "jobs that may start attempts are listed", at=queue.job.id)
    if listing is not None:
        present = listing.share == queue.share and listing.turn == queue.turn
        _require(listing in state.ready and present, "under their share", at=queue.job.id)


def _check_workers(state: State) -> None:
    busy: dict[str, str] = {}
    for worker in state.workers.values():
        idle = worker.id in state.idle.get(worker.job, {})
        _require(idle == (worker.attempt is None and worker.usable), "idle workers are indexed", at=worker.id)
        _require(
            worker.attempt is not None or not worker.draining, "an idle worker that drains is let go", at=worker.id
        )
        _require(not (worker.quarantined and worker.draining), "who drains is in no quarantine", at=worker.id)
        if worker.attempt is not None:
            _require(worker.attempt not in busy, "an attempt runs on one worker", at=worker.attempt)
            busy[worker.attempt] = worker.id
    for queue in state.queues.values():
        for running in queue.running.values():
            holder = state.workers.get(running.attempt.worker)
            orphaned = holder is None and state.orphans_due_ms is not None
            here = holder is not None and holder.attempt == running.attempt.id
            _require(here or orphaned, "a running attempt holds its worker", at=running.attempt.id)
    _require(len(state.records) <= MAX_RECORDS, "records of workers are bounded", at=len(state.records))
    for held in state.quarantined:
        _require(held in state.workers and state.workers[held].quarantined, "who waits in quarantine is here", at=held)
    for binding, count in state.worker_counts.items():
        usable_workers = sum(1 for w in state.workers.values() if w.job == binding and w.usable)
        _require(count == usable_workers, "usable workers are counted", at=binding)


def _check_totals(state: State) -> None:
    unfinished = [job for job in state.jobs.values() if not job.status.ended]
    running = [job for job in unfinished if job.status is not JobStatus.QUEUED]
    _require(state.unfinished_jobs == len(unfinished), "unfinished jobs are counted", at=state.unfinished_jobs)
    _require(state.running_jobs == len(running), "running jobs are counted", at=state.running_jobs)
    _require(state.running_jobs <= state.limits.max_running_jobs, "running jobs are bounded", at=state.running_jobs)
    tasks = sum(len(job.maps) + len(job.reduces) for job in running)
    _require(state.running_tasks == tasks, "running tasks are counted", at=state.running_tasks)
    reserved = {output_key(queue.job.spec): queue.job.id for queue in state.queues.values()}
    _require(state.outputs == reserved, "outputs of uncleaned jobs are reserved, each once", at=sorted(reserved))
    _require(state.tasks_at_hand == sum(state.at_hand.values()), "tasks at hand are counted", at=state.tasks_at_hand)
    _require(state.tasks_at_hand <= state.limits.max_ended_tasks_at_hand, "and are bounded", at=state.tasks_at_hand)
    needed = {queue.job.spec.earlier_job for queue in state.queues.values()}
    cleaned = sorted(job.id for job in state.jobs.values() if job.id not in state.queues and job.id not in needed)
    _require(sorted(job for _, job in state.ended) == cleaned, "every cleaned job waits for its retention", at=cleaned)
    _require(set(state.redriven) == needed - {""}, "jobs that redrives need are held", at=sorted(state.redriven))
    for queue in state.queues.values():
        ready_to_clean = queue.job.status.ended and not queue.outstanding and not queue.cleaning
        if state.orphans_due_ms is None:
            _require(ready_to_clean == (queue.job.id in state.cleanable), "ended jobs are cleaned up", at=queue.job.id)
