"""What a job's tasks tell of its run at one moment: plain and frozen, to be studied while the job goes on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import NamedTuple

from apollo_common.assignment import Split
from apollo_common.bad_records import BAD_RECORDS, BISECTION_RUNS
from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_common.record_format import parse_record_format
from apollo_common.timings import Timings
from apollo_coordinator.core.model import (
    Attempt,
    AttemptStatus,
    Job,
    JobStatus,
    LargestGroup,
    Task,
    TaskKind,
    TaskStatus,
)
from apollo_coordinator.core.spec import JobSpec, ProgramRef
from apollo_coordinator.core.state import size_bytes

_ORDER = (TaskKind.SAMPLE, TaskKind.MAP, TaskKind.REDUCE)
"""One phase after another."""

SAME_STRETCH_MS = 500
"""Between two attempts on a worker: a shorter gap is the cost of another attempt, and no waiting."""


class Run(NamedTuple):
    """An attempt, as far as it has come. A job may have a hundred thousand, and a tuple is made quickly."""

    id: AttemptId
    task: int
    worker: WorkerId
    status: AttemptStatus
    speculative: bool
    started_ms: int
    ended_ms: int  # now, of one that runs
    input_bytes: int  # 0: not known
    input_records: int  # 0: not known
    bad_records: int  # that it found
    search_runs: int  # of the mapper, to find them
    groups: int  # of keys, of a reduce; 0: not known
    largest_group: LargestGroup | None  # of those
    timings: Timings
    workers: int  # that could run attempts of the job when it began; 0: not known
    worker_joined_ms: int  # 0: not known
    cut_off: bool  # it ran until the job ended without a result
    failure: str  # its reason
    full_volume: str  # where that is a full one: which
    program: ProgramRef | None  # that it ran

    @property
    def duration_ms(self) -> int:
        return self.ended_ms - self.started_ms

    @property
    def work_ms(self) -> int:
        """Without looking for bad records."""
        return max(0, self.duration_ms - self.timings.search_ms)

    @property
    def untold_ms(self) -> int:
        """Of one that runs: since it last told what its time goes into. It may be anything."""
        return max(0, self.duration_ms - self.timings.total_ms) if self.status is AttemptStatus.RUNNING else 0

    @property
    def useful(self) -> bool:
        """Whether it gave the task's result, or may still, or might have."""
        return self.cut_off or self.status in (AttemptStatus.SUCCEEDED, AttemptStatus.RUNNING)

    @property
    def wasted(self) -> bool:
        """Whether its task had to be tried again because of it."""
        return self.status in (AttemptStatus.FAILED, AttemptStatus.LOST)


@dataclass(frozen=True, slots=True)
class Phase:
    """Its tasks may all run at once: one phase begins when the one before has ended."""

    kind: TaskKind
    began_ms: int
    ended_ms: int  # now, of one that goes on
    over: bool  # all of its tasks have a result
    tasks: int
    untried: int  # of those, how many no attempt has begun of
    runs: tuple[Run, ...]  # in order of their start
    stretches: tuple[tuple[int, int], ...]  # when a worker was at work for it, from beginning to end, for each anew
    can_be_cut: bool  # into more splits: some of its input is neither compressed nor of a format that is read whole
    small_objects: bool  # most splits are of less than half the split size

    @property
    def duration_ms(self) -> int:
        return self.ended_ms - self.began_ms

    @property
    def workers(self) -> int:
        """The most that were there at once, as far as is known."""
        return max((run.workers for run in self.runs), default=0) or len({run.worker for run in self.runs})


@dataclass(frozen=True, slots=True)
class Seen:
    """A job's run. A time is None before it has come."""

    job: JobId
    spec: JobSpec
    status: JobStatus
    trouble: str
    worker_cap: int  # how many of its attempts may run at once
    created_ms: int
    started_ms: int | None
    planned_ms: int | None
    committing_ms: int | None
    until_ms: int  # its end, or now
    phases: tuple[Phase, ...]
    map_output_bytes: int  # the most that one map wrote

    @property
    def wall_ms(self) -> int:
        return max(1, self.until_ms - self.created_ms)


class _TaskSeen(NamedTuple):
    """A task, as it was when it was looked at."""

    kind: TaskKind
    completed: bool
    ended_ms: int
    split: Split | None
    output_bytes: int
    runs: tuple[Run, ...]


class Look:
    """Looks at a job that goes on, at some of its tasks each time: there may be a hundred thousand.

    What was looked at stands, however the job goes on: it is as if some tasks were looked at a moment later.
    """

    def __init__(self, job: Job, *, worker_cap: int, now_ms: int) -> None:
        """`job` has its tasks at hand. `worker_cap`: of the operator; a job's own may be lower."""
        self._seen = Seen(
            job.id,
            job.spec,
            job.status,
            job.trouble,
            min(job.spec.max_workers or worker_cap, worker_cap),
            job.created_ms,
            job.started_ms,
            job.planned_ms,
            job.committing_ms,
            max(now_ms if job.ended_ms is None else job.ended_ms, job.created_ms),
            phases=(),
            map_output_bytes=0,
        )
        self._left = iter(job.tasks if job.planned_ms is not None else ())
        self._tasks: dict[TaskKind, list[_TaskSeen]] = {kind: [] for kind in _ORDER}

    def go_on(self, most: int) -> bool:
        """Look at so many more tasks; whether any were left."""
        looked_at = list(islice(self._left, most))
        for task in looked_at:
            self._tasks[task.kind].append(
                _TaskSeen(
                    task.kind,
                    task.status is TaskStatus.COMPLETED,
                    task.ended_ms or 0,
                    task.split,
                    task.output.size_bytes if task.output is not None else 0,
                    tuple(_run(self._seen, task, attempt) for attempt in task.attempts),
                )
            )
        return bool(looked_at)

    def seen(self) -> Seen:
        """All that was looked at. Takes long for many tasks, and may be asked for in a thread."""
        phases: list[Phase] = []
        began_ms = self._seen.planned_ms
        for kind in _ORDER:
            tasks = [task for task in self._tasks[kind] if task.runs or not task.completed]  # no adopted ones
            if tasks and began_ms is not None:
                phases.append(_phase(self._seen, tasks, began_ms))
                began_ms = phases[-1].ended_ms if phases[-1].over else None
        largest = max((task.output_bytes for task in self._tasks[TaskKind.MAP]), default=0)
        return replace(self._seen, phases=tuple(phases), map_output_bytes=largest)


def _phase(seen: Seen, tasks: list[_TaskSeen], began_ms: int) -> Phase:
    runs = sorted((run for task in tasks for run in task.runs), key=lambda run: run.started_ms)
    over = all(task.completed for task in tasks)
    ended_ms = max(task.ended_ms for task in tasks) if over else seen.until_ms
    splits = [task.split for task in tasks if task.split is not None]
    sizes = sorted(split.size_bytes for split in splits)
    return Phase(
        tasks[0].kind,
        began_ms,
        max(began_ms, ended_ms),
        over,
        len(tasks),
        sum(1 for task in tasks if not task.runs),
        tuple(runs),
        tuple(_stretches(runs)),
        can_be_cut=any(_can_be_cut(split) for split in splits),
        small_objects=bool(sizes) and sizes[len(sizes) // 2] * 2 < seen.spec.split_size_bytes,
    )


def _can_be_cut(split: Split) -> bool:
    return parse_record_format(split.format).splittable and not all(piece.codec for piece in split.pieces)


def _stretches(runs: list[Run]) -> Iterator[tuple[int, int]]:
    for _, of_worker in groupby(sorted(runs, key=lambda run: (run.worker, run.started_ms)), key=lambda run: run.worker):
        first, *later = of_worker
        began_ms, ended_ms = first.started_ms, first.ended_ms
        for run in later:
            if run.started_ms - ended_ms > SAME_STRETCH_MS:
                yield began_ms, ended_ms
                began_ms = run.started_ms
            ended_ms = max(ended_ms, run.ended_ms)
        yield began_ms, ended_ms


def _run(seen: Seen, task: Task, attempt: Attempt) -> Run:
    accepted = attempt.id == task.accepted
    cancelled = attempt.status is AttemptStatus.CANCELLED and not task.accepted
    counters = (task.counters if accepted else attempt.counters or {}).get("apollo", {})
    return Run(
        attempt.id,
        task.index,
        attempt.worker,
        attempt.status,
        attempt.speculative,
        attempt.started_ms,
        max(attempt.started_ms, seen.until_ms if attempt.ended_ms is None else attempt.ended_ms),
        size_bytes(task, attempt),
        counters.get("input_records", 0),
        counters.get(BAD_RECORDS, 0),
        counters.get(BISECTION_RUNS, 0),
        counters.get("reduce_input_groups", 0),
        attempt.largest_group,
        attempt.timings,
        attempt.workers,
        attempt.worker_joined_ms,
        cancelled and attempt.ended_ms == seen.until_ms,
        attempt.failure.reason if attempt.failure is not None else "",
        attempt.failure.full_volume if attempt.failure is not None else "",
        seen.spec.reducer if task.kind is TaskKind.REDUCE else seen.spec.mapper_of(task.split),
    )
