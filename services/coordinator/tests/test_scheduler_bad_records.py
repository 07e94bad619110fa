"""When attempts skip bad records, how many they may, and when there are too many, as the scheduling core sees it."""

from dataclasses import replace

import pytest

from apollo_common.bad_records import MAX_QUARANTINE_BYTES
from apollo_common.ids import AttemptId
from apollo_coordinator.core import commands, events
from apollo_coordinator.core.bad_records import allowance, bad_records, quarantining, skips
from apollo_coordinator.core.model import Failure, JobStatus
from support.scheduling import COUNTERS, PROGRAM_FAILED, World

TIMEOUT = Failure("program_timeout", "silent for 3 s")
TOO_MANY = Failure("too_many_bad_records", "the program fails on more than 1 bad record", retryable=False)
RETRY_MS = 60_000


@pytest.fixture
def world():
    world = World()
    world.workers("w0", "w1", "w2", "w3")
    return world


def done(world: World, attempt: str, bad: int, size_bytes: int = 100) -> list[commands.Command]:
    counters = {"apollo": COUNTERS["apollo"] | {"bad_records": bad, "quarantined_bytes": size_bytes * bad}}
    worker = world.worker_of(attempt)
    return world.tell(events.AttemptDone(AttemptId(attempt), worker, counters, output_path=attempt))


def failed_twice(world: World, task: str, failure: Failure = PROGRAM_FAILED) -> None:
    for number in range(2):
        world.failed(f"{task}-{number}", failure)
        world.wait(RETRY_MS)


@pytest.mark.parametrize("failure", [PROGRAM_FAILED, TIMEOUT, Failure("program_protocol_error", "no frame")])
def test_a_map_whose_program_has_failed_twice_skips(world, failure):
    job = world.job(max_bad_records=5)
    assert not skips(job.spec, job.maps[0])
    world.failed("j-m-00000-0", failure)
    world.wait(RETRY_MS)
    assert not skips(job.spec, job.maps[0])
    world.failed("j-m-00000-1", failure)
    assert skips(job.spec, job.maps[0])


@pytest.mark.parametrize("reason", ["out_of_memory", "program_read_nothing", "storage_unavailable", "volume_full"])
def test_other_failures_are_no_reason_to_skip(world, reason):
    job = world.job(max_bad_records=5, max_attempts=10)
    failed_twice(world, "j-m-00000", Failure(reason, "another"))
    assert not skips(job.spec, job.maps[0])


def test_losses_are_no_reason_to_skip(world):
    job = world.job(max_bad_records=5)
    world.lost("j-m-00000-0")
    world.wait(RETRY_MS)
    world.failed("j-m-00000-1")
    assert not skips(job.spec, job.maps[0])


def test_without_an_allowance_nothing_is_skipped(world):
    job = world.job()
    world.failed("j-m-00000-0")
    world.wait(RETRY_MS)
    world.failed("j-m-00000-1")
    assert not skips(job.spec, job.maps[0])


def test_reduces_never_skip(world):
    job = world.job(max_bad_records=5)
    world.done("j-m-00000-0")
    for number in range(2):
        world.opened(f"j-r-00000-{number}")
        world.failed(f"j-r-00000-{number}")
        world.wait(RETRY_MS)
    assert not skips(job.spec, job.reduces[0])


def test_what_accepted_attempts_have_skipped_is_taken_off_the_allowance(world):
    job = world.job(maps=2, max_bad_records=5)
    failed_twice(world, "j-m-00000")
    assert allowance(job) == 5
    done(world, "j-m-00000-2", 3)
    assert (bad_records(job.counters), allowance(job)) == (3, 2)
    assert quarantining(job) == [(job.maps[0], "j-m-00000-2")]


def test_an_attempt_may_find_one_more_so_that_too_many_are_told(world):
    job = world.job(maps=2, max_bad_records=3)
    failed_twice(world, "j-m-00000")
    done(world, "j-m-00000-2", 3)
    assert allowance(job) == 1


def test_two_tasks_together_may_have_found_too_many(world):
    job = world.job(maps=2, max_bad_records=5)
    failed_twice(world, "j-m-00000")
    failed_twice(world, "j-m-00001")
    done(world, "j-m-00001-2", 3)
    asked = done(world, "j-m-00000-2", 3)
    assert not any(isinstance(command, commands.CommitOutput) for command in asked)
    assert (job.status, bad_records(job.counters)) == (JobStatus.FAILED, 3)
    assert job.failure is not None
    assert (job.failure.reason, job.failure.attempt) == ("too_many_bad_records", "j-m-00000-2")
    assert job.failure.message == (
        "the map program fails on more than 5 records, and the job's maxBadRecords of 5 allows no more: see them with "
        "`apollo bad j`, then mend the program, or raise maxBadRecords"
    )
    assert [attempt for _, attempt in quarantining(job)] == ["j-m-00000-2", "j-m-00001-2"]


def test_as_many_as_allowed_are_not_too_many(world):
    job = world.job(maps=2, max_bad_records=6)
    failed_twice(world, "j-m-00000")
    done(world, "j-m-00001-0", 0)
    done(world, "j-m-00000-2", 6)
    assert job.failure is None
    assert job.map_tally.completed == 2


def test_an_attempt_that_finds_too_many_ends_the_job_in_the_jobs_words(world):
    job = world.job(max_bad_records=1)
    failed_twice(world, "j-m-00000")
    world.failed("j-m-00000-2", replace(TOO_MANY, stderr_tail="no number"))
    assert job.status is JobStatus.FAILED
    assert job.failure is not None
    assert "more than 1 record, and the job's maxBadRecords of 1" in job.failure.message
    assert job.failure.stderr_tail == "no number"
    assert [attempt for _, attempt in quarantining(job)] == ["j-m-00000-2"]


def test_a_job_keeps_a_bounded_quarantine(world):
    job = world.job(maps=2, max_bad_records=5)
    failed_twice(world, "j-m-00000")
    done(world, "j-m-00001-0", 1, MAX_QUARANTINE_BYTES - 100)
    done(world, "j-m-00000-2", 1, 101)
    assert job.failure is not None
    assert job.failure.reason == "quarantine_full"
    assert "64.0 MiB" in job.failure.message


def test_records_of_a_lost_map_output_are_allowed_again(world):
    job = world.job(maps=1, max_bad_records=5)
    failed_twice(world, "j-m-00000")
    done(world, "j-m-00000-2", 4)
    world.opened("j-r-00000-0")
    world.fetch_failed("j-r-00000-0", "j-m-00000-2")
    assert (bad_records(job.counters), allowance(job), quarantining(job)) == (0, 5, [])
    assert skips(job.spec, job.maps[0])


def test_a_quarantine_that_waits_for_room_is_the_jobs_trouble(world):
    job = world.job(max_bad_records=5)
    world.tell(events.QuarantineDelayed(job.id, "the volume is full"))
    assert job.trouble == "the volume is full"
    failed_twice(world, "j-m-00000")
    done(world, "j-m-00000-2", 1)
    assert job.trouble == ""
