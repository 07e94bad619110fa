"""Which step an attempt's time is counted as: on a clock that only passes while something is slow."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from apollo_common.assignment import MapOutputRef, Split, SplitPiece, encode_map_outputs, encode_split
from apollo_common.storage.file import FileStore
from apollo_common.storage.port import Upload
from apollo_common.timings import Step
from apollo_proto.apollo import v1
from apollo_worker.cache import ArtifactCache
from apollo_worker.events import EventLog
from apollo_worker.output.part import PartWriter
from apollo_worker.pipeline import Pipeline, Places
from apollo_worker.programs import AttemptPrograms
from apollo_worker.reporting import AttemptReporter
from apollo_worker.sandbox.sandbox import NO_SANDBOX
from apollo_worker.shuffle.arena import PairArena
from apollo_worker.shuffle.data_file import DataFile
from apollo_worker.shuffle.segments import SegmentReader
from apollo_worker.shuffle.volume_store import VolumeStore
from apollo_worker.steps import StepClock, Timed, counting, doing, timed_by, wholly

SLOW_SECONDS = 100.0
BUDGET_BYTES = 16 << 20
LINES = b"".join(b"%d\n" % number for number in range(1000))


class Now:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def passes(self, seconds: float = SLOW_SECONDS) -> None:
        self.seconds += seconds


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def clock(now) -> StepClock:
    return StepClock(now)


def spent(clock: StepClock) -> dict[str, float]:
    return {str(step): seconds for step, seconds in clock.spent_seconds().items() if seconds}


# The clock.


def test_a_moment_belongs_to_the_step_that_is_going_on(clock, now):
    now.passes(1)
    with timed_by(clock):
        with doing(Step.READ):
            now.passes(10)
        with doing(Step.SORT):
            now.passes(20)
    now.passes(2)
    assert spent(clock) == {"program": 3, "read": 10, "sort": 20}


def test_steps_at_once_share_a_moment(clock, now):
    with timed_by(clock), doing(Step.READ):
        now.passes(1)
        with doing(Step.WRITE):
            now.passes(10)
        now.passes(1)
    assert spent(clock) == {"read": 7, "write": 5}


def test_the_same_step_twice_at_once_is_one(clock, now):
    with timed_by(clock), doing(Step.READ):
        with doing(Step.READ):
            now.passes(10)
        now.passes(1)
    assert spent(clock) == {"read": 11}


def test_work_ahead_of_its_time_counts_only_while_it_is_waited_for(clock, now):
    with timed_by(clock), counting(Step.MERGE, as_=Step.READ):
        now.passes(1)
        with doing(Step.MERGE):
            now.passes(10)
    with timed_by(clock), doing(Step.MERGE):
        now.passes(20)
    assert spent(clock) == {"program": 1, "read": 10, "merge": 20}


def test_what_goes_on_inside_is_part_of_a_step_that_takes_all(clock, now):
    with timed_by(clock):
        with wholly(Step.SEARCH):
            now.passes(1)
            with doing(Step.START):
                now.passes(10)
        now.passes(2)
        with pytest.raises(KeyError), wholly(Step.SEARCH):
            raise KeyError
        now.passes(3)
    assert spent(clock) == {"search": 11, "program": 5}


def test_one_mark_serves_many_times(clock, now):
    with timed_by(clock):
        reading = doing(Step.READ)
    for _ in range(2):
        with reading:
            now.passes(10)
        now.passes(1)
    assert spent(clock) == {"program": 2, "read": 20}


def test_a_step_ends_with_an_error_too(clock, now):
    with timed_by(clock):
        with pytest.raises(KeyError), doing(Step.SORT):
            raise KeyError
        now.passes(1)
    assert spent(clock) == {"program": 1}


def test_outside_of_an_attempt_nothing_is_timed(clock, now):
    with doing(Step.READ), counting(Step.MERGE, as_=Step.READ):
        now.passes(1)
    assert spent(clock) == {"program": 1}


async def test_tasks_and_threads_are_timed_as_the_attempt_that_began_them(clock, now):
    def sort() -> None:
        with doing(Step.SORT):
            now.passes(10)

    async def items():
        for number in range(2):
            now.passes(1)
            yield number

    with timed_by(clock):
        await asyncio.create_task(asyncio.to_thread(sort))
        assert [item async for item in Timed(Step.READ, items())] == [0, 1]
    assert spent(clock) == {"read": 2, "sort": 10}


def test_many_threads_lose_no_time():
    began = time.perf_counter()
    clock = StepClock()

    def work() -> None:
        for _ in range(2000):
            with timed_by(clock), doing(Step.SORT):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(clock.spent_seconds().values())
    assert 0 < total <= time.perf_counter() - began
    assert clock.spent_seconds()[Step.SORT] > 0


# An attempt, of which one thing is slow.


class Attempt:
    """Runs map and reduce attempts in this process."""

    def __init__(self, directory: Path, clock: StepClock, store: FileStore) -> None:
        self._directory = directory
        self._clock = clock
        self._store = store
        self.told: list[str] = []  # statuses of the program
        self.output = MapOutputRef("j-m-00000", "j-m-00000-0", "j/j-m-00000/j-m-00000-0")

    async def open(self, url: str, access: object) -> FileStore:
        return self._store

    async def map(self, program: str) -> dict[str, float]:
        path = self._directory / "in.txt"
        path.write_bytes(LINES)
        info = await FileStore().stat(path.as_uri())
        split = Split((SplitPiece(info.url, 0, info.size_bytes, info.size_bytes, info.version),))
        work = v1.MapWork(split=encode_split(split), partitioner="hash", partitions=1, output_path=self.output.path)
        return await self._run(v1.TaskAssignment(map=work), "j-m-00000", program)

    async def reduce(self, program: str) -> dict[str, float]:
        url = (self._directory / "part").as_uri()
        upload = await FileStore().create_upload(url, metadata={})
        work = v1.ReduceWork(map_outputs=encode_map_outputs([self.output]))
        target = v1.OutputTarget(url=url, upload_id=upload.upload_id, format="text")
        return await self._run(v1.TaskAssignment(reduce=work, output=target), "j-r-00000", program)

    async def _run(self, assignment: v1.TaskAssignment, task: str, program: str) -> dict[str, float]:
        assignment.job_id, assignment.task_id, assignment.attempt_id = "j", task, f"{task}-0"
        assignment.program = v1.Program(source=v1.ProgramSource.SHELL, name=f"shell:{program}", stdio=v1.Stdio.PIPE)
        before = self._clock.spent_seconds()
        reporter = AttemptReporter(EventLog(assignment), clock=self._clock)
        reporter.status = self._on_status
        cache = ArtifactCache(self._directory / "cache", 1 << 20)
        programs = AttemptPrograms(assignment, cache, self._directory / "work", reporter, BUDGET_BYTES, NO_SANDBOX)
        places = Places(self, self._directory / "volume", self._directory / "scratch", 1 << 30)
        with timed_by(self._clock):
            done = await Pipeline(assignment, programs, places, reporter, BUDGET_BYTES).run()
        after = self._clock.spent_seconds()
        assert done.timings.program_ms == round(1000 * after[Step.PROGRAM])
        return {str(step): after[step] - before[step] for step in Step if after[step] != before[step]}

    def _on_status(self, message: str) -> None:
        self.told.append(message)


@pytest.fixture
def attempt(tmp_path, clock, now) -> Attempt:
    class Store(FileStore):
        """Slow where the test says so, by the URL's last letters."""

        slow = ""

        def read(self, url: str, **options):
            if self.slow == "read":
                now.passes()
            return super().read(url, **options)

        async def upload_part(self, upload: Upload, number: int, content: bytes):
            if self.slow == "upload":
                now.passes()
            return await super().upload_part(upload, number, content)

    return Attempt(tmp_path, clock, Store())


def slowed(monkeypatch, now: Now, owner: object, name: str) -> None:
    """The method takes SLOW_SECONDS longer, once."""
    usual = getattr(owner, name)

    def slow(*arguments, **options):
        monkeypatch.setattr(owner, name, usual)
        now.passes()
        return usual(*arguments, **options)

    monkeypatch.setattr(owner, name, slow)


async def test_nothing_slow_takes_no_time(attempt):
    assert await attempt.map("cat") == {}
    assert await attempt.reduce("cat") == {}


async def test_a_slow_input_store_is_read(attempt):
    attempt._store.slow = "read"
    assert await attempt.map("cat") == {"read": SLOW_SECONDS}


@pytest.mark.parametrize("phase", ["map", "reduce"])
async def test_a_slow_program_is_named(attempt, now, phase):
    await attempt.map("cat")
    attempt._on_status = lambda message: now.passes()
    # It has been given everything when it says that it is slow.
    slow = "cat >all; echo reporter:status:slow >&2; sleep 0.2; cat all"
    assert await getattr(attempt, phase)(slow) == {"program": SLOW_SECONDS}


@pytest.mark.parametrize(
    ("owner", "name", "phase", "step"),
    [
        (os, "writev", "map", "send"),
        (os, "readv", "map", "receive"),
        (PairArena, "append", "map", "receive"),
        (PairArena, "sort", "map", "sort"),
        (DataFile, "write_run", "map", "write"),
        (DataFile, "finish", "map", "commit"),
        (VolumeStore, "publish", "map", "commit"),
        (SegmentReader, "runs", "reduce", "read"),
        (SegmentReader, "batch", "reduce", "read"),
        (PairArena, "sort", "reduce", "merge"),
        (PartWriter, "_encode_pairs", "reduce", "write"),
        (PartWriter, "_encode_end", "reduce", "commit"),
    ],
)
async def test_what_is_slow_is_named(attempt, now, monkeypatch, owner, name, phase, step):
    await attempt.map("cat")
    slowed(monkeypatch, now, owner, name)
    # The program answers when it has been given everything: what is given and what is taken share no moment.
    assert await getattr(attempt, phase)("cat >all; cat all") == {step: SLOW_SECONDS}


async def test_a_slow_output_store_is_commit_for_what_is_left_at_the_end(attempt):
    await attempt.map("cat")
    attempt._store.slow = "upload"
    assert await attempt.reduce("cat") == {"commit": SLOW_SECONDS}
