"""Races between what workers say, what users want and what time does, one test each."""

import pytest

from apollo_common.errors import OutputExists
from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_coordinator.core import admission, commands, events, facts
from apollo_coordinator.core.apply import apply
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import AttemptStatus, Failure, JobStatus, TaskStatus
from apollo_coordinator.core.transitions import InvalidTransition
from support.scheduling import World, a_spec, attempts, fold


@pytest.fixture
def world():
    return World()


def test_a_job_runs_maps_then_reduces_then_commits(world):
    job = world.job(maps=2, n_reducers=1)
    world.workers("w1", "w2")
    assert attempts(world.asked) == ["j-m-00000-0", "j-m-00001-0"]
    assert attempts(world.done("j-m-00000-0")) == []
    assert attempts(world.done("j-m-00001-0")) == ["j-r-00000-0"]
    assert world.opened("j-r-00000-0") == [commands.RunAttempt(AttemptId("j-r-00000-0"), WorkerId("w2"))]
    assert world.done("j-r-00000-0") == [commands.CommitOutput(JobId("j"))]
    assert job.status is JobStatus.COMMITTING
    world.tell(events.CommitFinished(JobId("j")))
    assert job.status is JobStatus.SUCCEEDED
    assert job.counters == {"apollo": {"input_records": 30}}
    assert job.reduces[0].output.upload_id == "upload-j-r-00000-0"


def test_done_of_a_lost_attempt_is_ignored(world):
    job = world.job()
    world.workers("w1", "w2")
    world.lost("j-m-00000-0")
    world.done("j-m-00000-0")
    assert job.maps[0].accepted is None
    world.done("j-m-00000-1")
    assert job.maps[0].accepted == "j-m-00000-1"


def test_done_twice_is_accepted_once(world):
    job = world.job()
    world.workers("w1")
    world.done("j-m-00000-0")
    world.done("j-m-00000-0")
    assert job.counters == {"apollo": {"input_records": 10}}
    assert [type(f) for f in world.facts].count(facts.AttemptAccepted) == 1


def test_failure_after_done_is_ignored(world):
    job = world.job()
    world.workers("w1")
    world.done("j-m-00000-0")
    world.failed("j-m-00000-0")
    assert job.maps[0].status is TaskStatus.COMPLETED


def test_reports_of_an_unknown_job_free_the_worker(world):
    stale = AttemptId("gone-m-00000-0")
    world.tell(events.WorkerJoined(WorkerId("w1"), "w1:8090", attempt=stale))
    assert commands.CancelAttempt(stale, WorkerId("w1"), "nobody waits for the attempt any more") in world.asked
    job = world.job()
    assert job.maps[0].attempts == []
    world.tell(events.AttemptCancelled(stale, WorkerId("w1")))
    assert len(job.maps[0].attempts) == 1


@pytest.mark.parametrize(
    ("reason", "named"),
    [
        ("program_exited", True),
        ("record_too_large", True),
        ("input_corrupt", False),
        ("input_changed", False),
        ("object_not_found", False),
        ("storage_access_denied", False),
        ("output_not_writable", False),
        ("memory_budget_too_large", False),
    ],
)
def test_a_failure_names_the_program_where_one_may_be_to_blame(world, reason, named):
    job = world.job()
    world.workers("w1")
    world.failed("j-m-00000-0", Failure(reason, "no further attempt would do better", retryable=False))
    assert (job.failure.reason, job.failure.task) == (reason, "j-m-00000")
    assert job.failure.program == (job.spec.mapper.given_name if named else "")


def test_a_lost_attempt_does_not_count_as_failed(world):
    job = world.job(max_attempts=1)
    for number in range(5):
        world.workers(f"w{number}")
        world.wait(60_000)
        world.lost(f"j-m-00000-{number}")
    assert job.status is JobStatus.RUNNING
    assert [attempt.status for attempt in job.maps[0].attempts] == [AttemptStatus.LOST] * 5


def test_lost_attempts_are_bounded_too(world):
    job = world.job()
    for number in range(world.limits.max_lost_attempts):
        world.workers(f"w{number}")
        world.wait(60_000)
        world.lost(f"j-m-00000-{number}")
    assert job.status is JobStatus.FAILED
    assert "lost 20 times; the last: the worker went silent" in job.failure.message


def test_the_fourth_failure_of_a_task_fails_the_job(world):
    job = world.job(maps=2)
    world.workers("w1", "w2")
    world.done("j-m-00001-0")
    for number in range(4):
        assert job.status is JobStatus.RUNNING
        world.failed(f"j-m-00000-{number}")
        world.wait(60_000)
    assert job.status is JobStatus.FAILED
    assert (job.failure.task, job.failure.attempt, job.failure.exit_status) == ("j-m-00000", "j-m-00000-3", 1)
    assert job.maps[0].status is TaskStatus.FAILED
    assert job.reduces[0].status is TaskStatus.STOPPED


def test_a_permanent_failure_fails_the_job_at_once_and_cancels_the_rest(world):
    job = world.job(maps=2)
    world.workers("w1", "w2")
    asked = world.failed("j-m-00000-0", Failure("input_changed", "the input is another one", retryable=False))
    assert job.status is JobStatus.FAILED
    assert asked == [commands.CancelAttempt(AttemptId("j-m-00001-0"), WorkerId("w2"), "the job has ended")]
    assert job.maps[1].attempts[0].status is AttemptStatus.CANCELLED


def test_a_failed_task_waits_before_its_next_attempt(world):
    world.job()
    world.workers("w1")
    assert attempts(world.failed("j-m-00000-0")) == []
    assert attempts(world.wait(199)) == []
    assert attempts(world.wait(1)) == ["j-m-00000-1"]
    world.failed("j-m-00000-1")
    assert attempts(world.wait(399)) == []
    assert attempts(world.wait(1)) == ["j-m-00000-2"]


def test_a_failed_task_prefers_another_worker(world):
    job = world.job()
    world.workers("w1", "w2")
    assert job.maps[0].attempts[0].worker == "w1"
    world.failed("j-m-00000-0")
    world.wait(200)
    assert job.maps[0].attempts[1].worker == "w2"


def test_worker_that_leaves_loses_its_attempt_and_later_reports_are_ignored(world):
    job = world.job()
    world.workers("w1", "w2")
    asked = world.tell(events.WorkerLeft(WorkerId("w1"), "the pod was evicted"))
    assert attempts(asked) == ["j-m-00000-1"]
    assert job.maps[0].attempts[0].failure.message == "the pod was evicted"
    world.done("j-m-00000-0")
    assert job.maps[0].accepted is None


@pytest.mark.parametrize("fault", ["out_of_memory", "scratch_exceeded"])
def test_an_attempt_that_used_up_what_its_worker_has_failed_and_was_not_lost(world, fault):
    """Else a program that needs more than there is would be tried twenty times, each on another pod."""
    job = world.job(max_attempts=2)
    for name in ("w1", "w2"):
        world.workers(name)
        world.wait(60_000)
        asked = world.tell(events.WorkerLeft(WorkerId(name), "the pod was ended", fault))
        assert attempts(asked) == []
    assert [attempt.status for attempt in job.maps[0].attempts] == [AttemptStatus.FAILED] * 2
    assert job.status is JobStatus.FAILED
    assert (job.failure.reason, job.failure.message) == (fault, "the pod was ended")
    assert not world.state.records


def test_who_is_not_back_when_all_are_has_lost_its_attempt(world):
    job = world.job(maps=2)
    world.workers("w1", "w2")
    gone, back = (task.attempts[0] for task in job.maps)
    later = World(world.limits, world.now_ms)
    later.state = fold(world.limits, world.journal)
    later.tell(events.Restarted())
    later.workers(back.worker)
    asked = later.tell(events.PoolStarted(all_back=True))
    lost, runs = (task.attempts[0] for task in later.state.jobs["j"].maps)
    assert (lost.id, lost.status) == (gone.id, AttemptStatus.LOST)
    assert lost.failure.message == "the worker ended while the coordinator was away"
    assert runs.status is AttemptStatus.RUNNING
    assert later.state.orphans_due_ms is None
    assert asked == []  # its worker is at work
    later.workers("w3")
    assert [attempt.worker for attempt in later.state.jobs["j"].maps[0].attempts] == [gone.worker, "w3"]


def test_after_a_restart_the_grace_of_workers_begins_when_the_pool_has(world):
    """Before that, none of them can come back."""
    world.job()
    world.workers("w1")
    later = World(world.limits, world.now_ms)
    later.state = fold(world.limits, world.journal)
    later.tell(events.Restarted())
    (attempt,) = later.state.jobs["j"].maps[0].attempts
    later.wait(10 * world.limits.reattach_grace_ms)
    assert attempt.status is AttemptStatus.RUNNING
    later.tell(events.PoolStarted())
    later.wait(world.limits.reattach_grace_ms - 1)
    assert attempt.status is AttemptStatus.RUNNING
    later.wait(1)
    assert attempt.status is AttemptStatus.LOST


def test_an_unreachable_worker_is_released_and_gets_nothing_more(world):
    world.job(maps=2)
    world.workers("w1")
    asked = world.lost("j-m-00000-0")
    assert asked == [commands.ReleaseWorker(WorkerId("w1"))]
    lost = world.state.jobs[JobId("j")].maps[0].attempts[0]
    assert asked[0].reason == lost.failure.message  # the pool's log tells it
    assert world.tell(events.WorkerLeft(WorkerId("w1"), "released")) == []


def test_first_accepted_wins_and_the_other_is_cancelled(world):
    job = world.job()
    world.workers("w1", "w2")
    apply(world.state, facts.AttemptStarted(world.now_ms, AttemptId("j-m-00000-1"), WorkerId("w2")))
    asked = world.done("j-m-00000-1")
    assert job.maps[0].accepted == "j-m-00000-1"
    assert job.maps[0].attempts[0].status is AttemptStatus.CANCELLED
    assert asked[0] == commands.CancelAttempt(
        AttemptId("j-m-00000-0"), WorkerId("w1"), "attempt j-m-00000-1 was done first"
    )
    world.done("j-m-00000-0")
    assert job.maps[0].accepted == "j-m-00000-1"
    assert world.state.workers[WorkerId("w1")].attempt is None


def test_a_worker_stays_busy_until_its_cancelled_attempt_has_ended(world):
    world.job("a")
    world.workers("w1")
    world.tell(events.StopRequested(JobId("a")))
    job = world.job("b")
    assert job.maps[0].attempts == []
    world.cancelled("a-m-00000-0")
    assert [attempt.worker for attempt in job.maps[0].attempts] == ["w1"]


def test_fetch_failure_runs_only_the_named_map_again(world):
    job = world.job(maps=2, n_reducers=2)
    world.workers("w1", "w2")
    world.done("j-m-00000-0")
    world.done("j-m-00001-0")
    world.opened("j-r-00000-0")
    world.opened("j-r-00001-0")
    world.done("j-r-00000-0")
    asked = world.fetch_failed("j-r-00001-0", "j-m-00001-0")
    assert attempts(asked) == ["j-m-00001-1"]
    assert job.maps[0].accepted == "j-m-00000-0"
    assert job.reduces[0].accepted == "j-r-00000-0"
    assert job.counters == {"apollo": {"input_records": 20}}
    assert attempts(world.done("j-m-00001-1")) == ["j-r-00001-1"]
    assert job.reduces[1].attempts[0].status is AttemptStatus.LOST


def test_a_second_fetch_failure_of_the_same_output_runs_nothing_again(world):
    job = world.job(maps=1, n_reducers=2)
    world.workers("w1", "w2")
    world.done("j-m-00000-0")
    world.opened("j-r-00000-0")
    world.opened("j-r-00001-0")
    world.fetch_failed("j-r-00000-0", "j-m-00000-0")
    world.fetch_failed("j-r-00001-0", "j-m-00000-0")
    assert [attempt.id for attempt in job.maps[0].attempts] == ["j-m-00000-0", "j-m-00000-1"]
    world.done("j-m-00000-1")
    assert [len(task.attempts) for task in job.reduces] == [2, 2]


def test_fetch_failure_that_names_a_strange_map_only_repeats_the_reduce(world):
    job = world.job(maps=1)
    world.workers("w1")
    world.done("j-m-00000-0")
    asked = world.fetch_failed("j-r-00000-0", "other-m-00000-0")
    assert attempts(asked) == ["j-r-00000-1"]
    assert job.maps[0].accepted == "j-m-00000-0"


def test_empty_input_still_makes_every_part(world):
    job = world.job(maps=0, n_reducers=2)
    world.workers("w1", "w2")
    assert attempts(world.asked) == ["j-r-00000-0", "j-r-00001-0"]
    assert job.planned


def test_empty_input_of_a_map_only_job_commits_nothing(world):
    job = world.job(maps=0, n_reducers=0)
    assert job.status is JobStatus.COMMITTING
    assert world.asked[-1] == commands.CommitOutput(JobId("j"))


def test_map_only_tasks_write_parts(world):
    job = world.job(maps=1, n_reducers=0)
    world.workers("w1")
    assert world.asked[-1] == commands.OpenOutput(AttemptId("j-m-00000-0"), WorkerId("w1"))
    world.opened("j-m-00000-0")
    world.done("j-m-00000-0")
    assert job.status is JobStatus.COMMITTING
    assert job.output_tasks[0].output.upload_id == "upload-j-m-00000-0"


def test_upload_that_opens_after_its_attempt_is_over_is_kept_for_the_clean_up(world):
    job = world.job(maps=0)
    world.workers("w1")
    world.tell(events.StopRequested(JobId("j")))
    assert commands.CleanUp(JobId("j")) not in world.asked
    world.opened("j-r-00000-0")
    assert job.reduces[0].attempts[0].upload_id == "upload-j-r-00000-0"
    assert commands.CleanUp(JobId("j")) in world.asked
    assert world.state.workers[WorkerId("w1")].attempt is None


def test_output_that_cannot_be_opened_fails_the_job(world):
    job = world.job(maps=0)
    world.workers("w1")
    refused = Failure("storage_access_denied", "may not write to file:///out", retryable=False)
    world.tell(events.OutputOpenFailed(AttemptId("j-r-00000-0"), WorkerId("w1"), refused))
    assert job.status is JobStatus.FAILED
    assert job.failure.message == "may not write to file:///out"


def test_clean_up_waits_for_the_last_attempt(world):
    world.job(maps=2)
    world.workers("w1", "w2")
    world.tell(events.StopRequested(JobId("j")))
    assert commands.CleanUp(JobId("j")) not in world.cancelled("j-m-00000-0")
    assert commands.CleanUp(JobId("j")) in world.cancelled("j-m-00001-0")
    world.tell(events.CleanUpFinished(JobId("j")))
    assert JobId("j") not in world.state.queues


def test_stop_of_a_queued_job():
    world = World(Limits(max_running_jobs=1))
    world.job("a")
    world.tell(events.JobSubmitted(JobId("j"), a_spec()))
    assert world.state.jobs[JobId("j")].status is JobStatus.QUEUED
    world.tell(events.StopRequested(JobId("j")))
    assert world.state.jobs[JobId("j")].status is JobStatus.STOPPED


def test_stop_twice_is_stop_once(world):
    world.job()
    world.tell(events.StopRequested(JobId("j")))
    world.tell(events.StopRequested(JobId("j")))
    assert [type(fact) for fact in world.facts].count(facts.JobEnded) == 1


def test_stop_while_committing_changes_nothing(world):
    job = world.job(maps=0, n_reducers=0)
    assert world.tell(events.StopRequested(JobId("j"))) == []
    assert job.status is JobStatus.COMMITTING


def test_stop_of_a_commit_in_trouble_gives_it_up_and_says_what_may_be_there(world):
    job = world.job(maps=0, n_reducers=0)
    world.tell(events.CommitDelayed(JobId("j"), "s3 is away"))
    world.tell(events.StopRequested(JobId("j")))
    world.tell(events.CommitFinished(JobId("j")))
    assert job.status is JobStatus.STOPPED
    assert "s3 is away" in job.failure.message
    assert "_SUCCESS" in job.failure.message


def test_output_stays_reserved_until_the_clean_up_is_over(world):
    world.job(output_path=a_spec().output_path)
    world.tell(events.StopRequested(JobId("j")))
    with pytest.raises(OutputExists, match="still being removed"):
        admission.check(world.state, a_spec())
    world.tell(events.CleanUpFinished(JobId("j")))
    admission.check(world.state, a_spec())


def test_plan_that_arrives_after_the_stop_is_ignored(world):
    world.tell(events.JobSubmitted(JobId("j"), a_spec()))
    world.tell(events.StopRequested(JobId("j")))
    world.tell(events.InputPlanned(JobId("j"), ()))
    assert world.state.jobs[JobId("j")].status is JobStatus.STOPPED


def test_commit_that_fails_for_good_fails_the_job(world):
    job = world.job(maps=0, n_reducers=0)
    world.tell(events.CommitFailed(JobId("j"), Failure("bucket_not_found", "no such bucket", retryable=False)))
    world.tell(events.CommitFinished(JobId("j")))
    assert job.status is JobStatus.FAILED
    assert job.failure.message == "no such bucket"


def test_too_many_tasks_fail_the_job_with_the_fix():
    world = World(Limits(max_tasks_per_job=10))
    job = world.job(maps=10, n_reducers=1)
    assert job.status is JobStatus.FAILED
    assert "splitSize" in job.failure.message


def test_a_transition_that_is_not_listed_raises_with_the_story(world):
    world.job()
    world.workers("w1")
    world.done("j-m-00000-0")
    with pytest.raises(InvalidTransition, match="j-m-00000-0 succeeded on w1"):
        apply(world.state, facts.AttemptFailed(0, AttemptId("j-m-00000-0"), Failure("x", "y")))
