"""What bounded a job: runs in which one thing is wrong, as attempts would tell them, and the line that names it."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from apollo_common.assignment import Split, SplitPiece
from apollo_common.errors import VolumeFull
from apollo_common.ids import AttemptId, JobId, TaskId, WorkerId
from apollo_common.timings import NO_TIMINGS, Timings
from apollo_coordinator.clock import SystemClock
from apollo_coordinator.core.explanation.attribution import Cause, attribute
from apollo_coordinator.core.explanation.explain import MAX_LINES, explain
from apollo_coordinator.core.explanation.findings import Line
from apollo_coordinator.core.explanation.seen import Look, Seen
from apollo_coordinator.core.model import (
    Attempt,
    AttemptOutput,
    AttemptStatus,
    Failure,
    Job,
    JobStatus,
    LargestGroup,
    Task,
    TaskKind,
    TaskStatus,
)
from apollo_coordinator.core.spec import MIB, JobInput, JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.engine.explaining import KEPT_MS, TASKS_AT_ONCE, Explainer
from support.scheduling import World

MAPPER = ProgramRef(ProgramSource.ARTIFACT, "map.py")
SUM = ProgramRef(ProgramSource.BUILTIN, "builtin:sum")
SPEC = JobSpec(("file:///in",), "file:///out", mapper=MAPPER, reducer=SUM)
CAP = 1000


@dataclass(frozen=True)
class A:
    """An attempt: seconds after the job's creation, and the shares of its time; what is left is the start's."""

    began: float
    ended: float
    worker: str = "w1"
    program: float = 0.5
    read: float = 0.0
    write: float = 0.0
    merge: float = 0.0
    sort: float = 0.45
    size: int = 64 * MIB
    keys: int = 100
    largest: LargestGroup | None = None
    workers: int = 2
    joined: float = 0.0
    status: AttemptStatus = AttemptStatus.SUCCEEDED
    failure: str = ""
    full: str = ""
    wrote: int = 0
    speculative: bool = False
    told: bool = True

    @property
    def timings(self) -> Timings:
        if not self.told:
            return NO_TIMINGS
        took_ms = 1000 * (self.ended - self.began)
        shares = {name: getattr(self, name) for name in ("program", "read", "write", "merge", "sort")}
        left = 1 - sum(shares.values())
        return Timings(start_ms=round(left * took_ms), **{f"{k}_ms": round(v * took_ms) for k, v in shares.items()})


def a_task(kind: TaskKind, index: int, *tries: A) -> Task:
    name = f"j-{kind[0]}-{index:05}"
    split = Split((SplitPiece("file:///in", 0, tries[0].size, 1 << 40, "v"),)) if kind is TaskKind.MAP else None
    task = Task(TaskId(name), index, kind, split=split)
    for number, each in enumerate(tries):
        attempt = Attempt(
            AttemptId(f"{name}-{number}"),
            WorkerId(each.worker),
            round(1000 * each.began),
            each.status,
            speculative=each.speculative,
            workers=each.workers,
            worker_joined_ms=round(1000 * each.joined),
            ended_ms=None if each.status is AttemptStatus.RUNNING else round(1000 * each.ended),
            input_bytes_total=each.size,
            largest_group=each.largest,
            timings=each.timings if not each.failure else NO_TIMINGS,
            failure=Failure(each.failure, "it went wrong", full_volume=each.full) if each.failure else None,
        )
        task.attempts.append(attempt)
        if each.status is AttemptStatus.SUCCEEDED:
            task.status, task.accepted, task.ended_ms = TaskStatus.COMPLETED, attempt.id, attempt.ended_ms
            task.output = AttemptOutput(size_bytes=each.wrote)
            task.counters = {"apollo": {"input_records": 1000, "reduce_input_groups": each.keys}}
    return task


def a_job(maps: list[list[A]], reduces: list[A] | None = None, *, commit: float = 0, spec: JobSpec = SPEC) -> Job:
    job = Job(JobId("j"), spec, created_ms=0, status=JobStatus.SUCCEEDED, started_ms=0, planned=True, planned_ms=0)
    job.maps = [a_task(TaskKind.MAP, index, *tries) for index, tries in enumerate(maps)]
    job.reduces = [a_task(TaskKind.REDUCE, index, each) for index, each in enumerate(reduces or [])]
    done_ms = max(task.ended_ms or 0 for task in job.tasks)
    job.committing_ms, job.ended_ms = done_ms, done_ms + round(1000 * commit)
    return job


def ended(job: Job, status: JobStatus, at: float) -> Job:
    """Without a result."""
    job.status, job.committing_ms, job.ended_ms = status, None, round(1000 * at)
    return job


def seen_of(job: Job, now_ms: int = 0) -> Seen:
    look = Look(job, worker_cap=CAP, now_ms=now_ms)
    while look.go_on(100):
        pass
    return look.seen()


def lines_of(job: Job, now: float = 0) -> list[Line]:
    return explain(seen_of(job, round(1000 * now)))


def in_rounds(tasks: int, workers: int, seconds: float, *, there: int = 0, **attempt) -> list[list[A]]:
    """Maps of the same length, one after another on each worker."""
    attempt["workers"] = there or workers
    return [
        [A(seconds * (n // workers), seconds * (n // workers + 1), f"w{n % workers}", **attempt)] for n in range(tasks)
    ]


IDENTITY = ProgramRef(ProgramSource.BUILTIN, "builtin:identity")
COMPRESSED = replace(SPEC, compression="gzip")
SLOW = {"program": 0.95, "sort": 0.0}
BUSY_ELSEWHERE = [[A(30, 40, joined=-5)], [A(0, 10, "w2", joined=-5)]]
STARTING = [[A(30, 40, joined=29)], [A(30, 40, "w2", joined=29)]]
FAILED = {"status": AttemptStatus.FAILED, "failure": "program_exited", "told": False}
FULL = FAILED | {"failure": VolumeFull.reason, "full": "the intermediate volume"}
CUT = {"status": AttemptStatus.CANCELLED, "told": False}
BACKUP = [A(0, 40, status=AttemptStatus.CANCELLED, told=False), A(30, 40, "w2", speculative=True)]
HOT = [A(10, 12, f"w{n}", workers=4) for n in range(3)]
SKEWED = A(10, 90, "w4", size=4096 * MIB, keys=6400)

CASES = {
    "one worker of eight": (
        a_job(in_rounds(8, 1, 5)), "too-few-workers", "33 s of 40 s",
        "Have 8 workers instead of 1, as by `apollo up --workers 8`.",
    ),
    "maxWorkers": (
        a_job(in_rounds(8, 2, 10), spec=replace(SPEC, max_workers=2)), "max-workers", "28 s of 40 s",
        "Raise maxWorkers from 2 to 8, and have as many, as by `apollo up --workers 8`.",
    ),
    "maxWorkers, and the pool has more": (
        a_job(in_rounds(8, 2, 10, there=20), spec=replace(SPEC, max_workers=2)), "max-workers", "28 s of 40 s",
        "Raise maxWorkers from 2 to 8.",
    ),
    "slow program": (
        a_job(in_rounds(2, 2, 10, **SLOW)), "program", "The mapper bounds the maps: 95 % of their time was", "Profile",
    ),
    "slow input": (
        a_job(in_rounds(2, 2, 64, read=0.8, program=0.1, sort=0.05)), "read",
        "80 % of the maps' time they waited for the input's store, which gave each 1.2 MiB/s", "Look at the store",
    ),
    "tiny splits": (
        a_job(in_rounds(400, 2, 0.1, program=0.1, sort=0.1, size=1000), spec=replace(SPEC, split_size_bytes=1000)),
        "attempt-starts", "400 map tasks of about 1000 B; 80 % of their time",
        "Raise splitSize from 1000 to 1MiB.",
    ),
    "tiny objects": (
        a_job(in_rounds(400, 2, 0.1, program=0.1, sort=0.1, size=1000)), "attempt-starts",
        "400 map tasks of about 1000 B", "Set splitPolicy to packed, for 1 split instead of 400.",
    ),
    "skewed keys": (
        a_job([[A(0, 10)]], [*HOT, replace(SKEWED, largest=LargestGroup("hot\x1b", 900, 1000))]), "skew",
        "64 times the median of the others, and ran 80 s where they took 2.0 s. The key 'hot\\x1b' has 900 of its",
        "More reducers would not help: set combinerName to builtin:sum.",
    ),
    "skewed partition": (
        a_job([[A(0, 10)]], [*HOT, replace(SKEWED, largest=LargestGroup("a", 2, 1000))]), "skew",
        "reduce task 3 had 4.0 GiB to read, 64 times",
        "Raise nReducers from 4 to 8, to spread its 6,400 keys.",
    ),
    "one large split": (
        a_job([[A(0, 2)], [A(0, 2)], [A(0, 60, "w2", size=640 * MIB)]]), "skew", "map task 2 had 640.0 MiB", "",
    ),
    "straggler": (
        a_job([[A(0, 5)], [A(5, 10)], [A(0, 60, "w2")]]), "straggler",
        "map task 2 ran 60 s on w2, where others took 5.0 s, and had no more to read", "See `apollo logs j-m-00002-0`.",
    ),
    "overtaken straggler": (a_job([[A(0, 10, "w2")], BACKUP]), "straggler", "map task 1 ran 40 s", ""),
    "other jobs": (a_job(BUSY_ELSEWHERE), "other-jobs", "maps waited 30 s of 40 s", "raise priority from 0 to 1"),
    "late workers": (a_job(STARTING), "worker-start", "maps waited 30 s of 40 s", "image"),
    "retries": (
        a_job([[A(0, 10, **FAILED), A(10, 20, "w2", **FAILED), A(20, 30)], [A(0, 10, "w2")]]), "retries",
        "2 failed and 0 were lost of the maps, mostly by program_exited; to repeat them took 20 s of 30 s",
        "apollo failures j",
    ),
    "full volume": (
        a_job([
            [A(0, 1, **FULL), A(40, 41)],
            [A(41, 50, joined=-1)],
        ]), "full-volume", "held maps back for 39 s of 50 s: the intermediate volume.", "Make room",
    ),
    "one reducer for eight workers": (
        a_job([[A(0, 1, workers=8)]], [A(1, 80, workers=8)]), "few-tasks", "1 reduce task for 8 workers",
        "Raise nReducers from 1 to 8.",
    ),
    "one split for eight workers": (
        a_job([[A(0, 80, workers=8, size=60 * MIB)]]), "few-tasks", "1 map task for 8 workers",
        "Lower splitSize from 64MiB to 8MiB.",
    ),
    "slow output": (
        a_job([[A(0, 5)]], [A(5, 90, write=0.9, program=0.05, sort=0.0, workers=1)]), "write",
        "90 % of the reduces' time went into writing output", "compression",
    ),
    "slow output of compressed parts": (
        a_job([[A(0, 5)]], [A(5, 90, write=0.9, program=0.05, sort=0.0, workers=1)], spec=COMPRESSED), "write",
        "90 % of the reduces' time went into writing output", "Look at the output's store.",
    ),
    "sorting, which a combiner lessens": (
        a_job(in_rounds(2, 2, 50, sort=0.6, program=0.3)), "sort", "Sorting took 60 % of the maps' time",
        "Set combinerName to builtin:sum, for fewer pairs.",
    ),
    "sorting beyond the budget": (
        a_job(in_rounds(2, 2, 50, sort=0.6, program=0.3, wrote=900 * MIB), spec=replace(SPEC, combiner=SUM)), "sort",
        "a map wrote up to 900.0 MiB", "Raise memoryBudget from 256MiB to 2GiB, if workers have it.",
    ),
    "merging beyond the budget": (
        a_job([[A(0, 5)]], [A(5, 90, merge=0.8, program=0.1, sort=0.0, size=1000 * MIB, workers=1)],
              spec=replace(SPEC, combiner=SUM)),
        "merge", "a reduce read up to 1000.0 MiB", "Raise memoryBudget from 256MiB to 2GiB",
    ),
    "commit": (a_job([[A(0, 5)]], commit=45), "commit", "45 s of 50 s", ""),
    "balanced": (
        a_job(in_rounds(4, 4, 10, read=0.2, program=0.3, sort=0.25, write=0.2), 2 * [A(10, 18, merge=0.2)]),
        "balanced", "Nothing stands out: maps 56 %, reduces 44 % of 18 s.", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("job", "finding", "figure", "fix"), CASES.values(), ids=CASES)
def test_the_first_line_names_what_bounded_the_job(job, finding, figure, fix):
    first = lines_of(job)[0]
    assert (first.finding, figure in first.text, fix in first.fix) == (finding, True, True), first


@pytest.mark.parametrize("job", [case[0] for case in CASES.values()], ids=CASES)
def test_no_more_time_is_explained_than_passed_and_the_longest_comes_first(job):
    lines = lines_of(job)
    spent = [line.figures["spentMilliseconds"] for line in lines if line.finding != "balanced"]
    assert spent == sorted(spent, reverse=True)
    assert sum(spent) <= job.ended_ms + len(spent)
    assert 1 <= len(lines) <= MAX_LINES


def test_a_job_that_runs_is_explained_until_now():
    maps = in_rounds(4, 1, 10)
    job = a_job(maps)
    job.status, job.ended_ms, job.committing_ms = JobStatus.RUNNING, None, None
    waits = a_task(TaskKind.MAP, 4, A(0, 0))
    job.maps.append(replace(waits, attempts=[], status=TaskStatus.SCHEDULED, accepted=None, ended_ms=None))
    first = lines_of(job, now=40)[0]
    assert (first.finding, first.figures["wallMilliseconds"]) == ("too-few-workers", 40_000)
    assert "Have 5 workers instead of 1" in first.fix


def test_a_job_that_waits_for_its_first_worker_shows_why():
    job = Job(JobId("j"), SPEC, 0, JobStatus.RUNNING, started_ms=0, planned=True, planned_ms=100)
    job.maps = [replace(a_task(TaskKind.MAP, 0, A(0, 0)), attempts=[], status=TaskStatus.SCHEDULED, ended_ms=None)]
    job.trouble = "no node has 4 CPUs free"
    (line,) = lines_of(job, now=60)
    assert (line.finding, line.text) == (
        "worker-start", "No worker has come yet, for 60 s of 60 s. The coordinator says: no node has 4 CPUs free.",
    )  # fmt: skip


def test_a_queued_job_waits_for_its_turn():
    (line,) = lines_of(Job(JobId("j"), SPEC, created_ms=0), now=30)
    assert (line.finding, line.setting) == ("queue", "priority")
    assert line.text == "Other jobs came first: it waited 30 s of 30 s for its turn."


def test_attempts_that_tell_nothing_are_not_called_slow():
    """Those of an older journal."""
    job = a_job([[A(0, 10, told=False, workers=0)]])
    assert [line.finding for line in lines_of(job)] == ["balanced"]


def test_who_needs_larger_splits_is_not_told_to_take_more_workers():
    tiny = {"program": 0.3, "sort": 0.1, "size": 1000}
    job = a_job(in_rounds(400, 2, 0.1, **tiny))
    assert [line.finding for line in lines_of(job)] == ["attempt-starts"]


@pytest.mark.parametrize("of", [{"codec": "gzip"}, {"format": "whole"}])
def test_input_that_cannot_be_cut_is_not_told_to_be(of):
    job = a_job([[A(0, 80, workers=8, size=600 * MIB)]])
    (piece,) = job.maps[0].split.pieces
    job.maps[0].split = Split((replace(piece, codec=of.get("codec", "")),), of.get("format", "lines"))
    first = lines_of(job)[0]
    assert (first.finding, first.setting) == ("few-tasks", "")
    assert first.fix == "Its objects cannot be cut: store the input as more, smaller ones."


def test_many_small_objects_are_packed_into_a_few_splits_for_each_worker():
    job = a_job(in_rounds(600, 4, 0.1, program=0.1, sort=0.1, size=100_000))
    assert lines_of(job)[0].fix == "Set splitPolicy to packed and splitSize to 8MiB, for 8 splits instead of 600."


def test_a_job_that_failed_names_the_attempts_that_did():
    """A task that was done before them is not what it ended with."""
    job = a_job([[A(0, 1)], [A(0, 5, "w2", **FAILED), A(6, 20, **FAILED), A(21, 40, "w2", **FAILED)]])
    job.status, job.committing_ms, job.ended_ms = JobStatus.FAILED, None, 40_000
    failed, vain = lines_of(job)
    assert (failed.text, failed.fix) == (
        "The job failed: maps 100 % of 40 s.", "See `apollo failures j` before anything else.",
    )  # fmt: skip
    assert (vain.finding, vain.figures["failed"], vain.fix) == ("retries", 3, "")
    assert "took 40 s of 40 s" in vain.text


def test_a_job_that_failed_is_given_no_advice_on_its_speed():
    """Nor is what was cancelled at its end called a wait."""
    maps = [
        [A(0, 10, "w1", **FAILED)],
        [A(0, 10, "w2", **FAILED)],
        [A(10, 20, "w1", **FAILED), A(20, 40, "w1", **FAILED)],
        [A(10, 40, "w2", **CUT)],
    ]
    lines = lines_of(ended(a_job(maps), JobStatus.FAILED, 40))
    assert lines[0].finding == "failed"
    assert {(line.finding, line.setting, line.fix) for line in lines[1:]} == {
        ("retries", "", ""), ("too-few-workers", "", ""),
    }  # fmt: skip


def test_attempts_cancelled_at_the_end_of_a_stopped_job_ran():
    (line,) = lines_of(ended(a_job([[A(0, 60, workers=2, **CUT)]]), JobStatus.STOPPED, 60))
    assert line.text == "It was stopped, and nothing stands out: maps 100 % of 60 s."


def test_who_waits_for_its_next_attempt_waits_for_what_workers_do():
    """Two failures of each task take a second; then the third waits until the search of the others has ended."""
    failed = {"status": AttemptStatus.FAILED, "failure": "program_exited", "program": 0, "sort": 0}
    job = a_job(
        [
            [A(0, 0.5, "w1", **failed), A(1, 1.5, "w2", **failed), A(2, 30, "w1", program=0.01, sort=0)],
            [A(0, 0.5, "w2", **failed), A(1, 1.5, "w1", **failed), A(2, 29, "w2", program=0.01, sort=0)],
            [A(0.5, 1, "w1", **failed), A(1.5, 2, "w2", **failed), A(29, 33, "w2", program=0.01, sort=0)],
        ]
    )
    for task in job.maps:
        last = task.attempts[-1]
        last.timings = Timings(search_ms=last.ended_ms - last.started_ms - 10, program_ms=10)
        task.counters["apollo"] |= {"bad_records": 10, "bisection_runs": 120}
    spent_ms = {cost.cause: cost.spent_ms for cost in attribute(seen_of(job))}
    assert spent_ms[Cause.SEARCH] > 0.85 * 33_000
    assert spent_ms[Cause.RETRIES] < 0.1 * 33_000
    assert sum(spent_ms.values()) == pytest.approx(33_000)
    assert explain(seen_of(job))[0].text == "Looking for 30 bad records took 30 s of 33 s, in 360 runs of the mapper."


def test_the_search_for_bad_records_is_a_cause_of_its_own():
    """It makes no straggler of the task, and its program not slow."""
    job = a_job([[A(0, 10)], [A(0, 80, "w2")]])
    searched = job.maps[1]
    searched.attempts[0].timings = Timings(start_ms=500, search_ms=70_000, program_ms=5_000, sort_ms=4_500)
    searched.counters["apollo"] |= {"bad_records": 3, "bisection_runs": 43}
    first, *more = lines_of(job)
    assert (first.finding, first.text) == (
        "search", "Looking for 3 bad records took 70 s of 80 s, in 43 runs of the mapper.",
    )  # fmt: skip
    assert first.fix == "A mapper that takes them need not be searched for them: see `apollo bad j`."
    assert not {"straggler", "skew", "attempt-starts"} & {line.finding for line in more}
    searched.counters["apollo"] |= {"bad_records": 0}
    assert (
        lines_of(job)[0].text == "Looking for bad records took 70 s of 80 s, in 43 runs of the mapper; none was found."
    )


def test_what_running_attempts_have_not_told_yet_is_not_called_starting():
    job = a_job([[A(0, 60, workers=1, told=False, status=AttemptStatus.RUNNING)]])
    running = job.maps[0].attempts[0]
    job.status, job.ended_ms, job.committing_ms = JobStatus.RUNNING, None, None
    assert [line.finding for line in lines_of(job, now=0.8)] == ["balanced"]
    running.timings = Timings(start_ms=1_000, program_ms=9_000)
    (line,) = lines_of(job, now=60)
    assert (line.finding, line.figures["programShare"]) == ("program", 0.9)
    assert line.text.endswith("59 s of 60 s on the critical path.")


def test_shares_of_a_phase_add_up():
    """Also where a job runs, and where attempts failed."""
    maps = [
        [A(0, 10, program=0.4, sort=0.1)],
        [A(0, 5, "w2", **FAILED), A(5, 20, "w2", program=0.4, sort=0.1)],
        [A(10, 30, program=0.4, sort=0.1, status=AttemptStatus.RUNNING)],
    ]
    job = a_job(maps)
    job.status, job.ended_ms, job.committing_ms = JobStatus.RUNNING, None, None
    job.maps[2].attempts[0].timings = Timings(start_ms=2_000, program_ms=8_000)
    figures = {key: value for line in lines_of(job, now=40) for key, value in line.figures.items()}
    # 40 s are told: in vain 5, program 4 + 6 + 8, starts 5 + 7.5 + 2
    assert (figures["programShare"], figures["startShare"]) == (0.45, pytest.approx(0.3625, abs=0.001))


def test_what_starting_a_few_quick_attempts_takes_is_no_finding():
    job = a_job([[A(0, 0.2, program=0.2, sort=0.1, size=10)]])
    assert [line.finding for line in lines_of(job)] == ["balanced", "program", "sort"]


def test_a_built_in_is_as_fast_as_it_is():
    job = a_job(
        in_rounds(2, 2, 10, **SLOW), spec=replace(SPEC, mapper=ProgramRef(ProgramSource.BUILTIN, "builtin:identity"))
    )
    assert [line.finding for line in lines_of(job)] == ["balanced", "attempt-starts"]


def test_what_was_looked_at_stands_however_the_job_goes_on():
    job = a_job(in_rounds(3, 1, 10))
    before = seen_of(job)
    look = Look(job, worker_cap=CAP, now_ms=0)
    look.go_on(1)
    first = job.maps[0]
    first.status, first.accepted, first.output, first.ended_ms = TaskStatus.SCHEDULED, None, None, None
    first.attempts.clear()
    job.maps, job.reduces, job.ended_ms = [], [], 99_000
    while look.go_on(1):
        pass
    assert look.seen() == before


async def test_a_job_that_goes_on_meanwhile_is_explained_as_it_was_and_another_one_waits():
    jobs = {name: replace(a_job(in_rounds(2 * TASKS_AT_ONCE, 1, 10)), id=JobId(name)) for name in ("j", "k")}
    expected = lines_of(jobs["j"])
    asked_for = []

    async def with_tasks(name: JobId) -> Job:
        asked_for.append(name)
        return jobs[name]

    explainer = Explainer(with_tasks, SystemClock(), worker_cap=CAP)
    first = asyncio.create_task(explainer.explain(JobId("j")))
    second = asyncio.create_task(explainer.explain(JobId("k")))
    await asyncio.sleep(0)
    jobs["j"].maps = []
    assert asked_for == ["j"]
    assert await first == expected == await second


async def test_everybody_who_asks_for_one_job_at_once_gets_one_explanation():
    job = a_job(in_rounds(3, 1, 10))
    now_ms = 0

    async def with_tasks(_: JobId) -> Job:
        return job

    class Clock:
        def now_ms(self) -> int:
            return now_ms

    explainer = Explainer(with_tasks, Clock(), worker_cap=CAP)
    first, second = await asyncio.gather(explainer.explain(job.id), explainer.explain(job.id))
    assert second is first
    job.status = JobStatus.FAILED
    failed = await explainer.explain(job.id)
    assert failed is not first
    now_ms = KEPT_MS
    assert await explainer.explain(job.id) is not failed


def test_of_several_mappers_that_which_bounds_the_job_is_named():
    inputs = (JobInput("file:///given", IDENTITY), JobInput("file:///slow", MAPPER))
    job = a_job([[A(0, 40)], [A(0, 60, "w2", **SLOW)]], spec=replace(SPEC, mapper=IDENTITY, inputs=inputs))
    job.maps[1].split = replace(job.maps[1].split, job_input=1)
    (told,) = [line for line in lines_of(job) if line.finding == "program"]
    assert told.text.startswith("The mapper `map.py` bounds the maps: ")
    assert told.figures["program"] == "map.py"


def test_what_the_scheduler_journals_is_enough():
    """Driven event by event, and again from the facts alone."""
    world = World()
    world.workers("w1")
    job = world.job(maps=3, n_reducers=1)
    for index in range(3):
        world.progress(f"j-m-{index:05}-0", 10, 10)
        world.wait(330)
        world.done(f"j-m-{index:05}-0")
    world.opened("j-r-00000-0")
    world.progress("j-r-00000-0", 500, 500)
    world.done("j-r-00000-0")
    again = world.restart().state.jobs[job.id]
    seen = [seen_of(each, world.now_ms) for each in (job, again)]
    assert seen[0] == seen[1]
    assert seen[0].phases[1].runs[0].input_bytes == 500
    assert {run.workers for phase in seen[0].phases for run in phase.runs} == {1}
    assert explain(seen[0])[0].finding == "too-few-workers"
