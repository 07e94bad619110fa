"""Failed attempts are grouped by their cause, and a program that fails alike on two workers is not tried again."""

from dataclasses import replace

import pytest

from apollo_common.errors import OutOfMemory, ProgramTimeout
from apollo_common.ids import WorkerId
from apollo_coordinator.core import events, facts
from apollo_coordinator.core.failures import MAX_COUNTED_WORKERS, MAX_FAILURE_GROUPS, OTHER, seeks_bad_record
from apollo_coordinator.core.model import Failure, FailureGroup, Job, JobStatus, RecordPlace
from apollo_coordinator.core.summary import restored, summarise
from support.scheduling import World

TRACEBACK = """\
Traceback (most recent call last):
  File "/tmp/{directory}/map.py", line 12, in words
    return int(word)
ValueError: invalid literal for int() with base 10: {word!r}
"""


@pytest.fixture
def world() -> World:
    return World()


def a_crash(number: int = 0, **changes) -> Failure:
    """One cause, in words that differ with the number."""
    stderr = TRACEBACK.format(directory=f"a{number}", word=f"word{number}")
    failure = {"exit_status": 1, "stderr_tail": stderr}
    return Failure("program_exited", f"the mapper failed on record {number}", **(failure | changes))


def another(cause: int) -> Failure:
    """Another cause for each number."""
    tens, ones = divmod(cause, 26)
    return Failure("program_exited", f"the mapper failed by {chr(97 + tens)}{chr(97 + ones)}", exit_status=1)


def only(job: Job) -> FailureGroup:
    (group,) = job.failures.values()
    return group


def fail(world: World, job: Job, failure: Failure, task: int = 0) -> None:
    """The task's running attempt fails; later its next one starts, elsewhere if there is another worker."""
    world.failed(job.tasks[task].attempts[-1].id, failure)
    world.wait(500)


def test_what_a_search_for_bad_records_adds_makes_no_other_cause(world):
    job = world.job(max_attempts=10)
    plain = Failure("program_exited", "the mapper failed", exit_status=3)
    searched = replace(plain, message=f"{plain.message}. The job may skip bad records, but it fails on none alone")
    world.workers("w0")
    for failure in (plain, searched):
        fail(world, job, failure)
        world.wait(60_000)
    assert only(job).attempts == 2


def test_attempts_that_fail_alike_are_one_group(world):
    job = world.job(maps=3)
    world.workers("w0", "w1", "w2")
    began = world.now_ms
    fail(world, job, a_crash(0), task=0)
    fail(world, job, a_crash(1), task=1)
    fail(world, job, another(1), task=2)
    group, other = job.failures.values()
    first = job.maps[0].attempts[0]
    assert (group.attempts, group.tasks, group.workers) == (2, 2, 2)
    assert (group.attempt, group.first_ms, group.last_ms) == (first.id, began, began + 500)
    assert (group.reason, group.program, group.exit_status) == ("program_exited", "builtin:identity", 1)
    assert group.lines == (
        'File "/tmp/a0/map.py", line 12, in words',
        "ValueError: invalid literal for int() with base 10: 'word0'",
    )
    assert (group.input, group.offset) == ("file:///in", 0)
    assert (other.attempts, other.lines) == (1, ())
    assert first.failure.fingerprint == group.fingerprint != other.fingerprint


def test_a_task_that_fails_again_in_the_same_way_is_counted_once(world):
    job = world.job()
    world.workers("w0")
    for number in range(3):
        fail(world, job, a_crash(number))
        world.wait(20_000)
    assert (only(job).attempts, only(job).tasks, only(job).workers) == (3, 1, 1)
    assert job.status is JobStatus.RUNNING  # all on one worker, which may be to blame


def test_a_program_that_fails_alike_on_two_workers_is_not_tried_again(world):
    job = world.job(max_attempts=100)
    world.workers("w0", "w1")
    fail(world, job, a_crash(1))
    assert job.status is JobStatus.RUNNING
    fail(world, job, a_crash(2))
    assert job.status is JobStatus.FAILED
    assert len({attempt.worker for attempt in job.maps[0].attempts}) == 2
    assert job.failure.message == (
        "task j-m-00000 failed twice in the same way on different workers: the mapper failed on record 2"
    )
    assert (job.failure.task, job.failure.attempt) == ("j-m-00000", "j-m-00000-1")
    assert (job.failure.program, job.failure.input) == ("builtin:identity", "file:///in from byte 0")
    assert job.failure.fingerprint == only(job).fingerprint


def test_one_worker_under_two_names_is_one(world):
    job = world.job(max_attempts=100)
    world.workers("w0")
    world.failed(job.maps[0].attempts[-1].id, a_crash())
    world.tell(events.WorkerLeft(WorkerId("w0"), "its connection broke"))
    world.workers("w0~2")
    world.wait(20_000)
    fail(world, job, a_crash())
    assert job.status is JobStatus.RUNNING
    assert only(job).workers == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (a_crash(), another(1)),
        (a_crash(exit_status=1), a_crash(exit_status=2)),
        (Failure(ProgramTimeout.reason, "it did nothing"),) * 2,
        (Failure(OutOfMemory.reason, "it used too much"),) * 2,
        (a_crash(exit_status=None, signal=9),) * 2,  # as the kernel does when memory runs out
        (Failure("internal", "the worker met an unexpected KeyError"),) * 2,
        (Failure("storage_unavailable", "no answer"),) * 2,
    ],
    ids=["cause", "exit-status", "timeout", "memory", "killed", "worker", "storage"],
)
def test_what_another_attempt_may_not_meet_is_tried_again(world, first, second):
    job = world.job()
    world.workers("w0", "w1")
    fail(world, job, first)
    fail(world, job, second)
    assert job.status is JobStatus.RUNNING
    assert len(job.maps[0].attempts) == 3
    assert len({attempt.worker for attempt in job.maps[0].attempts[:2]}) == 2


def test_a_map_that_has_given_an_output_may_so_again(world):
    """It fails, is done, is lost, and fails again in the same way elsewhere."""
    job = world.job(n_reducers=1, max_attempts=3)
    world.workers("w0", "w1")
    (task,) = job.maps
    fail(world, job, a_crash(1))
    world.done(task.attempts[-1].id)
    world.wait(500)
    world.fetch_failed(job.reduces[0].attempts[-1].id, task.attempts[-1].id)
    while len(task.attempts) == 2:
        world.wait(10_000)
    first, _, again = task.attempts
    if again.worker == first.worker:
        world.tell(events.WorkerLeft(again.worker, "gone"))
        while len(task.attempts) == 3:
            world.wait(10_000)
    assert task.attempts[-1].worker != first.worker
    fail(world, job, a_crash(2))
    assert job.status is JobStatus.RUNNING


def test_a_map_whose_bad_records_may_be_skipped_is_tried_again_and_a_reduce_is_not(world):
    job = world.job(max_bad_records=1, n_reducers=1)
    world.workers("w0", "w1")
    fail(world, job, a_crash())
    fail(world, job, a_crash())
    assert job.status is JobStatus.RUNNING
    world.done(job.maps[0].attempts[-1].id)
    for _ in range(2):
        world.opened(job.reduces[0].attempts[-1].id)
        fail(world, job, a_crash(), task=1)
    assert job.status is JobStatus.FAILED


def test_a_backup_attempt_that_runs_may_still_be_done(world):
    job = world.job(max_attempts=100, maps=2)
    world.workers("w0", "w1", "w2")
    slow, quick = job.maps
    world.wait(10_000)
    world.done(quick.attempts[0].id)
    fail(world, job, a_crash(), task=0)
    world.wait(60_000)
    again, backup = slow.attempts[1:]
    assert backup.speculative
    world.failed(again.id, a_crash())
    world.wait(60_000)
    assert job.status is JobStatus.RUNNING
    assert slow.attempts[1:] == [again, backup]
    world.done(backup.id)
    assert slow.accepted == backup.id


def sought(job: Job) -> bool:
    return seeks_bad_record(job, job.maps[0])


def test_the_second_failure_of_a_map_by_its_program_finds_a_record(world):
    job = world.job(maps=2)
    world.workers("w0")
    assert not sought(job)
    fail(world, job, a_crash())
    assert sought(job)
    record = RecordPlace("file:///in", 4, 3, "bad")
    fail(world, job, a_crash(1, bad_record=record), task=1)
    assert not sought(job)  # one is known of this cause
    assert only(job).bad_record == record
    fail(world, job, a_crash(2, bad_record=RecordPlace("file:///in", 9, 3, "worse")), task=1)
    assert only(job).bad_record == record
    fail(world, job, a_crash(exit_status=2))
    assert sought(job)  # none is of the other


@pytest.mark.parametrize(
    ("spec", "failure"),
    [
        ({"max_bad_records": 1}, a_crash()),
        ({}, Failure(ProgramTimeout.reason, "it did nothing")),
        ({}, Failure("storage_unavailable", "no answer")),
    ],
    ids=["skips", "timeout", "storage"],
)
def test_no_record_is_sought_where_one_is_skipped_or_it_would_take_long_or_none_is_to_blame(world, spec, failure):
    job = world.job(**spec)
    world.workers("w0")
    fail(world, job, failure)
    assert not sought(job)


def test_causes_beyond_a_bounded_number_are_counted_together(world):
    job = world.job(max_attempts=1000)
    world.workers("w0")
    for cause in range(MAX_FAILURE_GROUPS + 3):
        fail(world, job, another(cause))
        world.wait(60_000)
    fail(world, job, another(0))
    assert len(job.failures) == MAX_FAILURE_GROUPS + 1
    other = job.failures[OTHER]
    assert (other.attempts, other.tasks, other.workers) == (3, 1, 1)
    assert next(iter(job.failures.values())).attempts == 2


def test_groups_survive_a_restart_the_archive_and_a_journal_without_fingerprints(world):
    job = world.job(maps=2)
    world.workers("w0", "w1")
    fail(world, job, a_crash(0))
    fail(world, job, another(1), task=1)
    assert world.restart().state.jobs[job.id].failures == job.failures
    for index, fact in enumerate(world.journal):
        if isinstance(fact, facts.AttemptFailed):
            world.journal[index] = replace(fact, failure=replace(fact.failure, fingerprint=""))
    restarted = world.restart().state.jobs[job.id]
    assert restarted.failures == job.failures
    assert sought(restarted)  # by the cause of a failure that was written without its fingerprint
    fail(world, job, a_crash(1))
    assert job.status is JobStatus.FAILED
    assert list(restored(summarise(job)).failures.items()) == list(job.failures.items())


def test_workers_are_told_apart_up_to_a_bound(world):
    names = [f"w{number}" for number in range(MAX_COUNTED_WORKERS + 2)]
    job = world.job(maps=len(names))
    world.workers(*names)
    for task in job.maps:
        world.failed(task.attempts[0].id, a_crash())
    assert (only(job).attempts, only(job).workers) == (len(names), MAX_COUNTED_WORKERS)
