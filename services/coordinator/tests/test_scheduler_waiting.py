"""What makes a job wait or run out of time: full volumes, timeouts."""

import pytest

from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_coordinator.core import commands, events
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import Failure, JobStatus
from support.scheduling import World, a_spec, attempts

NO_SPACE = Failure("volume_full", "no space left on the intermediate volume")


@pytest.fixture
def world():
    return World()


# Full volumes


def test_a_full_volume_pauses_the_job_and_does_not_count(world):
    job = world.job(maps=3, max_attempts=1)
    world.workers("w1")
    world.failed("j-m-00000-0", NO_SPACE)
    assert attempts(world.wait(14_999)) == []
    assert job.trouble == "no space left on the intermediate volume"
    assert attempts(world.wait(1)) == ["j-m-00000-1"]
    assert job.status is JobStatus.RUNNING
    world.done("j-m-00000-1")
    assert job.trouble == ""


def test_a_volume_that_stays_full_uses_up_no_budget_and_is_tried_ever_more_seldom(world):
    job = world.job(max_attempts=1)
    world.workers("w1")
    tries_ms = []
    for _ in range(50):
        world.failed(str(job.maps[0].attempts[-1].id), NO_SPACE)
        failed_ms = world.now_ms
        while not attempts(world.wait(1_000)):
            pass
        tries_ms.append(world.now_ms - failed_ms)
    assert job.status is JobStatus.RUNNING
    assert tries_ms == [15_000, 30_000] + [60_000] * 48


def test_what_a_failed_attempt_has_uploaded_is_discarded(world):
    """Else each try of a part would leave a volume that is full with less room than before."""
    world.job(maps=1)
    world.workers("w1")
    world.done("j-m-00000-0")
    world.opened("j-r-00000-0")
    assert commands.DiscardPart(AttemptId("j-r-00000-0")) in world.failed("j-r-00000-0", NO_SPACE)


def test_a_journal_that_cannot_be_written_is_every_jobs_trouble_until_it_can_be(world):
    first, second = world.job("a"), world.job("b")
    world.tell(events.JournalStalled("the coordinator's volume is full"))
    assert (first.trouble, second.trouble) == ("the coordinator's volume is full",) * 2
    world.tell(events.PoolTroubled(JobId("b"), "no node takes it"))
    world.tell(events.JournalWritten("the coordinator's volume is full"))
    assert (first.trouble, second.trouble) == ("", "no node takes it")


def test_after_the_pause_one_attempt_is_tried_before_the_others(world):
    world.job(maps=4)
    world.workers("w1", "w2", "w3")
    for index in range(3):
        world.failed(f"j-m-0000{index}-0", NO_SPACE)
    assert attempts(world.wait(15_000)) == ["j-m-00000-1"]
    assert attempts(world.wait(10_000)) == []
    assert len(attempts(world.done("j-m-00000-1"))) == 3


def test_a_probe_that_runs_for_the_length_of_the_pause_lets_the_others_follow(world):
    world.job(maps=3)
    world.workers("w1", "w2", "w3")
    world.failed("j-m-00001-0", NO_SPACE)
    assert attempts(world.wait(15_000)) == ["j-m-00001-1"]
    world.workers("w4")
    assert attempts(world.lost("j-m-00000-0")) == []
    assert attempts(world.wait(14_999)) == []
    assert attempts(world.wait(1)) == ["j-m-00000-1"]


def test_attempts_that_meet_one_full_volume_together_make_one_pause(world):
    world.job(maps=30)
    world.workers(*(f"w{number}" for number in range(30)))
    for index in range(30):
        world.failed(f"j-m-{index:05d}-0", NO_SPACE)
    assert len(world.state.timers) == 2
    assert attempts(world.wait(15_000)) == ["j-m-00000-1"]


def test_a_full_volume_does_not_hold_up_other_jobs(world):
    world.job("full")
    world.workers("w1")
    world.failed("full-m-00000-0", NO_SPACE)
    assert len(world.job("other").maps[0].attempts) == 1


def test_the_pause_and_its_reason_outlive_a_restart_and_a_new_worker(world):
    world.job()
    world.workers("w1")
    world.failed("j-m-00000-0", NO_SPACE)
    again = world.restart()
    again.workers("w2")
    assert again.state.jobs[JobId("j")].trouble == NO_SPACE.message
    assert attempts(again.wait(14_999)) == []
    assert attempts(again.wait(1)) == ["j-m-00000-1"]


def test_other_excused_failures_keep_their_cap(world):
    job = world.job()
    world.workers("w1")
    for number in range(world.limits.max_lost_attempts):
        assert job.status is JobStatus.RUNNING
        world.failed(f"j-m-00000-{number}", Failure("storage_unavailable", "s3 does not answer"))
        world.wait(60_000)
    assert (job.status, job.failure.reason) == (JobStatus.FAILED, "storage_unavailable")


# Timeouts


def test_a_job_that_runs_too_long_fails_and_tells_how_far_it_got(world):
    job = world.job(maps=3, n_reducers=2, job_timeout_seconds=60)
    world.workers("w1", "w2")
    world.done("j-m-00000-0")
    assert world.wait(59_999) == []
    asked = world.wait(1)
    assert job.status is JobStatus.FAILED
    assert job.failure.reason == "job_timeout"
    assert "jobTimeoutSeconds of 60" in job.failure.message
    assert "1 of 3 map and 0 of 2 reduce tasks" in job.failure.message
    cancelled = [c.attempt for c in asked if isinstance(c, commands.CancelAttempt)]
    assert cancelled == ["j-m-00001-0", "j-m-00002-0"]


def test_time_in_the_queue_does_not_count():
    world = World(Limits(max_running_jobs=1))
    world.job("first")
    world.tell(events.JobSubmitted(JobId("j"), a_spec(job_timeout_seconds=60)))
    world.wait(600_000)
    job = world.state.jobs[JobId("j")]
    assert job.status is JobStatus.QUEUED
    world.tell(events.StopRequested(JobId("first")))
    world.wait(59_999)
    assert job.status is JobStatus.RUNNING
    world.wait(1)
    assert "still being planned" in job.failure.message


def test_a_restart_does_not_stop_the_clock(world):
    world.job(job_timeout_seconds=60)
    world.wait(40_000)
    again = world.restart()
    again.wait(19_999)
    assert again.state.jobs[JobId("j")].status is JobStatus.RUNNING
    again.wait(1)
    assert again.state.jobs[JobId("j")].failure.reason == "job_timeout"


def test_a_timeout_in_the_moment_when_the_orphans_are_given_up_ends_the_job_once(world):
    world.job(job_timeout_seconds=60)
    world.workers("w1")
    world.wait(50_000)
    again = world.restart()
    again.wait(10_000)  # the grace ends as the timeout does
    again.wait(200)
    assert again.state.jobs[JobId("j")].failure.reason == "job_timeout"


def test_a_job_that_commits_is_left_to_finish(world):
    job = world.job(maps=1, n_reducers=0, job_timeout_seconds=60)
    world.workers("w1")
    world.opened("j-m-00000-0")
    world.done("j-m-00000-0")
    world.wait(600_000)
    assert job.status is JobStatus.COMMITTING
    world.restart().wait(600_000)
    world.tell(events.CommitFinished(job.id))
    assert job.status is JobStatus.SUCCEEDED


def test_a_job_without_a_timeout_runs_on(world):
    job = world.job()
    world.wait(10**9)
    assert job.status is JobStatus.RUNNING
    assert world.state.deadlines == {}


def test_what_comes_after_the_timeout_is_ignored(world):
    job = world.job(job_timeout_seconds=60)
    world.workers("w1")
    world.wait(60_000)
    world.tell(events.AttemptDone(AttemptId("j-m-00000-0"), WorkerId("w1"), {}, output_path="late"))
    assert job.status is JobStatus.FAILED
    assert commands.CleanUp(job.id) in world.asked
