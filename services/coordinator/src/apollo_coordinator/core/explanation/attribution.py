"""Splits a job's time up by what it was spent on, as on a critical path: every moment belongs to one cause.

Of each phase the task that was done last is followed back: it waited, was perhaps tried in vain, and then ran. While it
waited, the workers were at work for other tasks, or not there, or held by somebody else.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from apollo_common.errors import VolumeFull
from apollo_common.timings import NO_TIMINGS, Step
from apollo_coordinator.core.explanation.seen import Phase, Run, Seen
from apollo_coordinator.core.model import AttemptStatus, TaskKind

UNLIKE_OTHERS = 2.0
"""An attempt that took so many times what others of its phase did, or read so many times as much, is unlike them."""

LEAST_CUT_BYTES = 1 << 20
"""Of less input nobody wants more splits."""


class Cause(StrEnum):
    QUEUE = "queue"  # the job waited for its turn
    PLANNING = "planning"  # its input was listed
    WORKER_START = "worker-start"  # workers were not there yet
    MAX_WORKERS = "max-workers"  # as many attempts ran as the job allows
    TOO_FEW_WORKERS = "too-few-workers"  # all workers were at work for the job
    OTHER_JOBS = "other-jobs"  # workers were at work for other jobs
    FULL_VOLUME = "full-volume"
    ATTEMPT_STARTS = "attempt-starts"  # attempts were started and ended, rather than at work
    RETRIES = "retries"
    SKEW = "skew"  # one task had far more to do than others
    STRAGGLER = "straggler"  # one task took far longer than others, with no more to do
    FEW_TASKS = "few-tasks"  # there were more workers than tasks
    SEARCH = "search"  # for bad records
    PROGRAM = "program"
    READ = "read"
    MERGE = "merge"
    SORT = "sort"
    CONVERSATION = "conversation"  # records went to the program and back
    WRITE = "write"
    COMMIT = "commit"


_OF_STEP = {
    Step.START: Cause.ATTEMPT_STARTS,
    Step.SEARCH: Cause.SEARCH,
    Step.READ: Cause.READ,
    Step.MERGE: Cause.MERGE,
    Step.SEND: Cause.CONVERSATION,
    Step.PROGRAM: Cause.PROGRAM,
    Step.RECEIVE: Cause.CONVERSATION,
    Step.SORT: Cause.SORT,
    Step.WRITE: Cause.WRITE,
    Step.COMMIT: Cause.WRITE,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Time that the job would not have taken without the cause."""

    cause: Cause
    spent_ms: float
    phase: Phase | None = None  # None: of the job as a whole
    run: Run | None = None  # that which stands for it


def attribute(seen: Seen) -> list[Cost]:
    """What every part of the job's time went to; a cause of a phase stands in it once."""
    costs = list(_outside_phases(seen))
    for phase in seen.phases:
        sums: dict[Cause, Cost] = {}
        for cost in _of_phase(seen, phase):
            before = sums.get(cost.cause)
            spent_ms = cost.spent_ms + (before.spent_ms if before else 0.0)
            sums[cost.cause] = Cost(cost.cause, spent_ms, phase, cost.run or (before.run if before else None))
        costs += sums.values()
    return [cost for cost in costs if cost.spent_ms > 0]


def _outside_phases(seen: Seen) -> Iterator[Cost]:
    started_ms = seen.until_ms if seen.started_ms is None else seen.started_ms
    yield Cost(Cause.QUEUE, started_ms - seen.created_ms)
    if seen.started_ms is not None:
        planned_ms = seen.until_ms if seen.planned_ms is None else seen.planned_ms
        yield Cost(Cause.PLANNING, planned_ms - seen.started_ms)
    if seen.committing_ms is not None:
        yield Cost(Cause.COMMIT, seen.until_ms - seen.committing_ms)


def _of_phase(seen: Seen, phase: Phase) -> Iterator[Cost]:
    last = last_run(phase)
    if last is None:
        yield from _waiting(seen, phase, phase.began_ms, phase.ended_ms)
        return
    tries = [run for run in phase.runs if run.task == last.task]
    first = tries[0]
    yield from _waiting(seen, phase, phase.began_ms, first.started_ms)
    if last.wasted:
        yield Cost(Cause.RETRIES, last.ended_ms - first.started_ms, run=first)
        return
    if last is not first:
        if last.speculative and not first.wasted:
            yield Cost(Cause.STRAGGLER, last.started_ms - first.started_ms, run=first)
        else:
            yield from _retrying(seen, phase, tries[: tries.index(last) + 1])
    yield from _running(phase, last)


def _retrying(seen: Seen, phase: Phase, tries: list[Run]) -> Iterator[Cost]:
    """Until the last of a task's attempts began: those before it ran in vain, and between them the task waited."""
    at_ms = tries[0].started_ms
    for run, following in pairwise(tries):
        vain_until_ms = min(max(run.ended_ms, at_ms), following.started_ms)
        yield Cost(Cause.RETRIES, vain_until_ms - at_ms, run=tries[0])
        for cost in _waiting(seen, phase, vain_until_ms, following.started_ms):
            put_off = cost.cause is Cause.OTHER_JOBS  # a worker was free: it is the delay before another try
            yield replace(cost, cause=Cause.RETRIES, run=tries[0]) if put_off else cost
        at_ms = following.started_ms


def last_run(phase: Phase) -> Run | None:
    """The attempt that the phase ended with; of one that goes on, that which has run longest. None while tasks wait."""
    if phase.untried:
        return None
    candidates = [run for run in phase.runs if run.useful or (run.wasted and not phase.over)]
    return max(candidates, key=lambda run: (run.ended_ms, run.wasted, -run.started_ms), default=None)


# While the last task waited


def _waiting(seen: Seen, phase: Phase, since_ms: int, until_ms: int) -> Iterator[Cost]:
    spent_ms = dict.fromkeys(Cause, 0.0)
    for cause, waited_ms in _held_up(seen, phase, since_ms, until_ms):
        spent_ms[cause] += waited_ms
    work = work_of(phase)
    for cause, waited_ms in spent_ms.items():
        if cause in (Cause.MAX_WORKERS, Cause.TOO_FEW_WORKERS):
            yield Cost(Cause.ATTEMPT_STARTS, waited_ms * work.starting)
            yield Cost(Cause.RETRIES, waited_ms * work.wasted)
            yield Cost(Cause.SEARCH, waited_ms * work.searching)
            yield Cost(cause, waited_ms * work.useful)
        else:
            yield Cost(cause, waited_ms)


def _held_up(seen: Seen, phase: Phase, since_ms: int, until_ms: int) -> Iterator[tuple[Cause, float]]:
    """From one change to the next: by what, and for how long."""
    joined_ms = sorted({run.worker: run.worker_joined_ms for run in phase.runs}.values())
    marks = [_Mark(until_ms), *(_Mark(at_ms) for at_ms in joined_ms)]
    for began_ms, ended_ms in phase.stretches:
        marks += [_Mark(began_ms, change=1), _Mark(ended_ms, change=-1)]
    for run in phase.runs:
        marks.append(_Mark(run.started_ms, workers=run.workers, full=False))
        if run.failure == VolumeFull.reason:
            marks.append(_Mark(run.ended_ms, full=True))
    first = next(iter(phase.runs), None)
    there = first.workers if first is not None and first.worker_joined_ms <= phase.began_ms else 0
    at_ms, running, full = phase.began_ms, 0, False
    for mark in sorted(marks, key=lambda mark: mark.at_ms):
        passed_ms = min(mark.at_ms, until_ms) - max(at_ms, since_ms)
        if passed_ms > 0:
            coming = len(joined_ms) - bisect_right(joined_ms, at_ms)
            for cause, share in _holding(seen, running, there, coming, full=full):
                yield cause, passed_ms * share
        at_ms = max(at_ms, min(mark.at_ms, until_ms))
        running += mark.change
        there = mark.workers or there
        full = full if mark.full is None else mark.full


class _Mark(NamedTuple):
    """Something changes."""

    at_ms: int
    change: int = 0  # of how many workers are at work
    workers: int = 0  # that are there; 0: not known
    full: bool | None = None  # whether a volume is


def _holding(seen: Seen, running: int, there: int, coming: int, *, full: bool) -> list[tuple[Cause, float]]:
    """What holds a task up while so many attempts run on the workers that are there, and its share."""
    if full:
        return [(Cause.FULL_VOLUME, 1.0)]
    if running >= seen.worker_cap:
        return [(Cause.MAX_WORKERS, 1.0)]
    if not (running or there):
        return [(Cause.WORKER_START, 1.0)]
    if running < there:
        return [(Cause.OTHER_JOBS, 1.0)]
    late = coming / (coming + running)
    return [(Cause.WORKER_START, late), (Cause.TOO_FEW_WORKERS, 1 - late)]


@dataclass(frozen=True, slots=True)
class Work:
    """What the workers of a phase did with their time, in shares of it.

    What running attempts have not told yet is no part of it.
    """

    useful: float
    searching: float  # for bad records
    starting: float
    wasted: float
    total_ms: int


def work_of(phase: Phase) -> Work:
    stretched_ms = sum(ended_ms - began_ms for began_ms, ended_ms in phase.stretches)
    total_ms = stretched_ms - sum(run.untold_ms for run in phase.runs)
    wasted_ms = sum(run.duration_ms for run in phase.runs if run.wasted)
    useful_ms = sum(_useful_ms(run) for run in phase.runs if not run.wasted)
    wasted = min(1.0, wasted_ms / total_ms) if total_ms > 0 else 0.0
    search_ms = sum(run.timings.search_ms for run in phase.runs if not run.wasted)
    searching = min(1.0 - wasted, search_ms / total_ms) if total_ms > 0 else 0.0
    useful = min(1.0 - wasted - searching, useful_ms / total_ms) if total_ms > 0 else 1.0
    return Work(useful, searching, 1.0 - useful - searching - wasted, wasted, total_ms)


def _useful_ms(run: Run) -> int:
    """All of it where nobody has told, and nobody will."""
    if run.timings == NO_TIMINGS:
        return run.duration_ms - run.untold_ms
    return run.timings.total_ms - run.timings.start_ms - run.timings.search_ms


# While the last task ran


def _running(phase: Phase, last: Run) -> Iterator[Cost]:
    usual_ms = usual_duration_ms(phase, last)
    yield Cost(Cause.SEARCH, last.timings.search_ms, run=last)
    left_ms = float(last.work_ms)
    if usual_ms and left_ms >= UNLIKE_OTHERS * usual_ms:
        cause = Cause.SKEW if has_more_to_do(phase, last) else Cause.STRAGGLER
        yield Cost(cause, left_ms - usual_ms, run=last)
        left_ms = usual_ms
    scale = left_ms / max(1, last.work_ms)
    spare = max(0.0, 1.0 - phase.tasks / phase.workers) if phase.workers else 0.0
    for step, spent_ms in _spent_ms(last).items():
        if step is Step.START or not spare or not may_have_more_tasks(phase):
            yield Cost(_OF_STEP[step], spent_ms * scale, run=last)
        else:
            yield Cost(Cause.FEW_TASKS, spent_ms * scale * spare, run=last)
            yield Cost(_OF_STEP[step], spent_ms * scale * (1 - spare), run=last)


def _spent_ms(run: Run) -> dict[Step, float]:
    """What it took but for the search, by step: of one that has told nothing nothing can be said."""
    spent_ms = {step: float(spent) for step, spent in run.timings.by_step().items()}
    del spent_ms[Step.SEARCH]
    if run.timings == NO_TIMINGS:
        return spent_ms
    if run.status is not AttemptStatus.RUNNING:
        spent_ms[Step.START] += max(0, run.duration_ms - run.timings.total_ms)
        return spent_ms
    told_ms = sum(spent_ms.values()) - spent_ms[Step.START]  # it goes on as it has since it started
    more = 1 + run.untold_ms / told_ms if told_ms else 1.0
    return {step: spent if step is Step.START else spent * more for step, spent in spent_ms.items()}


def others(phase: Phase, run: Run) -> list[Run]:
    """What the attempt is compared with: those of other tasks that gave a result."""
    return [other for other in phase.runs if other.useful and other.task != run.task]


def usual_duration_ms(phase: Phase, run: Run) -> float:
    """How long others took, but for looking for bad records; 0 where there is no other."""
    return float(median([other.work_ms for other in found])) if (found := others(phase, run)) else 0.0


def usual_bytes(phase: Phase, run: Run) -> float:
    return float(median([other.input_bytes for other in found])) if (found := others(phase, run)) else 0.0


def has_more_to_do(phase: Phase, run: Run) -> bool:
    return run.input_bytes > 0 and run.input_bytes >= UNLIKE_OTHERS * usual_bytes(phase, run)


def may_have_more_tasks(phase: Phase) -> bool:
    """Whether a setting makes more tasks of it."""
    if phase.kind is TaskKind.REDUCE:
        return sum(run.groups for run in phase.runs if run.useful) > phase.tasks
    return phase.kind is TaskKind.MAP and sum(run.input_bytes for run in phase.runs if run.useful) >= LEAST_CUT_BYTES
