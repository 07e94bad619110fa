"""Who gets which worker: fairness, priorities, limits and bindings."""

import pytest

from apollo_common.errors import IdempotencyConflict, LimitExceeded, OutputExists
from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_coordinator.core import admission, commands, events, facts
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import AttemptStatus, Failure, JobStatus
from support.scheduling import World, a_spec, attempts


@pytest.fixture
def world():
    return World()


def running(world, *jobs):
    return [len(world.state.queues[JobId(job)].running) for job in jobs]


def names(count):
    return [f"w{number}" for number in range(count)]


def test_jobs_of_equal_priority_share_the_workers_evenly(world):
    for name in "abc":
        world.job(name, maps=20)
    world.workers(*names(9))
    assert running(world, "a", "b", "c") == [3, 3, 3]


def test_each_step_of_priority_doubles_the_share(world):
    world.job("a", maps=40)
    world.job("b", maps=40, priority=2)
    world.workers(*names(10))
    assert running(world, "a", "b") == [2, 8]


def test_a_job_that_needs_less_leaves_the_rest_to_others(world):
    world.job("a", maps=1)
    world.job("b", maps=20)
    world.workers(*names(10))
    assert running(world, "a", "b") == [1, 9]


def test_a_new_job_gets_the_workers_that_become_free(world):
    world.job("a", maps=20)
    world.workers(*names(4))
    world.job("b", maps=20)
    assert running(world, "a", "b") == [4, 0]
    world.done("a-m-00000-0")
    world.done("a-m-00001-0")
    world.done("a-m-00002-0")
    assert running(world, "a", "b") == [2, 2]


def test_tasks_run_in_order_within_a_job(world):
    world.job(maps=4)
    world.workers("w1")
    order = [world.asked[-1].attempt]
    for _ in range(3):
        order += attempts(world.done(order[-1]))
    assert order == [f"j-m-0000{index}-0" for index in range(4)]


def test_max_workers_bounds_a_job(world):
    world.job(maps=9, max_workers=2)
    world.workers(*names(5))
    assert running(world, "j") == [2]
    assert commands.ScalePool(JobId("j"), 2) in world.asked


def test_the_pool_is_asked_for_as_many_workers_as_tasks_can_use(world):
    job = world.job(maps=3, n_reducers=2)
    assert [c for c in world.asked if isinstance(c, commands.ScalePool)] == [commands.ScalePool(job.id, 3)]
    world.workers(*names(3))
    for index in range(3):
        world.done(f"j-m-0000{index}-0")
    assert commands.ScalePool(job.id, 2) in world.asked
    world.tell(events.StopRequested(job.id))
    for index in range(2):
        world.opened(f"j-r-0000{index}-0")
    assert world.asked[-1] == commands.ScalePool(job.id, 0)


def test_a_worker_bound_to_a_job_serves_no_other(world):
    world.job("a", maps=2)
    world.job("b", maps=2)
    world.workers("w1", "w2", "w3", job="b")
    assert running(world, "a", "b") == [0, 2]


def test_nothing_is_kept_of_a_job_whose_last_worker_has_gone(world):
    world.job("b", maps=2)
    world.workers("w1", "w2", job="b")
    for name in ("w1", "w2"):
        world.tell(events.WorkerLeft(WorkerId(name), "scaled down"))
    assert (world.state.idle, world.state.worker_counts) == ({}, {})
    world.workers("w3", job="b")
    assert running(world, "b") == [1]


def test_more_jobs_than_may_run_wait_and_the_oldest_of_the_highest_priority_is_next():
    world = World(Limits(max_running_jobs=1))
    world.job("a", maps=0, n_reducers=0)
    for name, priority in (("b", 0), ("c", 5), ("d", 5)):
        world.tell(events.JobSubmitted(JobId(name), a_spec(output_path=f"file:///{name}", priority=priority)))
    assert [job.status for job in world.state.jobs.values()] == [JobStatus.COMMITTING] + [JobStatus.QUEUED] * 3
    world.tell(events.CommitFinished(JobId("a")))
    assert world.state.jobs[JobId("c")].status is JobStatus.RUNNING
    assert world.state.jobs[JobId("d")].status is JobStatus.QUEUED


def test_no_job_starts_while_the_running_ones_have_too_many_tasks():
    world = World(Limits(max_running_tasks=5))
    world.job("a", maps=5)
    world.tell(events.JobSubmitted(JobId("b"), a_spec()))
    assert world.state.jobs[JobId("b")].status is JobStatus.QUEUED


def test_a_job_that_waits_long_goes_before_new_ones_of_a_higher_priority():
    world = World(Limits(max_running_jobs=1))
    world.job("first")
    world.tell(events.JobSubmitted(JobId("low"), a_spec(output_path="file:///low")))
    waited_minutes = 0
    while world.state.jobs[JobId("low")].status is JobStatus.QUEUED:
        waited_minutes += 1
        world.wait(60_000)
        spec = a_spec(output_path=f"file:///{waited_minutes}", priority=2)
        world.tell(events.JobSubmitted(JobId(f"high{waited_minutes}"), spec))
        (running,) = (job.id for job in world.state.jobs.values() if job.status is JobStatus.RUNNING)
        world.tell(events.StopRequested(running))
    assert waited_minutes == 20  # ten for each of two steps of priority


def test_a_low_priority_job_that_runs_gets_its_share_however_many_high_ones_there_are(world):
    for name in "abcd":
        world.job(name, maps=40, priority=5)
    world.job("low", maps=40)
    world.workers(*names(4))
    for _ in range(5):
        busy = [worker.attempt for worker in world.state.workers.values()]
        for attempt in busy:
            world.done(attempt)
    assert world.state.queues[JobId("low")].accepted_maps > 0


def test_a_job_at_its_max_workers_leaves_the_rest_to_jobs_of_lower_priority(world):
    world.job("capped", maps=20, max_workers=2, priority=10)
    world.job("other", maps=20)
    world.workers(*names(6))
    assert running(world, "capped", "other") == [2, 4]


def test_a_job_whose_reduces_wait_for_a_map_holds_no_worker(world):
    world.job("a", maps=2, n_reducers=8)
    world.workers(*names(6))
    world.job("b", maps=20)
    world.done("a-m-00000-0")
    assert running(world, "a", "b") == [1, 5]
    world.done("a-m-00001-0")
    assert running(world, "a", "b") == [1, 5]
    for index in range(4):
        world.done(f"b-m-{index:05d}-0")
    assert running(world, "a", "b") == [3, 3]


def test_admission_names_the_limit_the_reservation_and_the_conflict():
    world = World(Limits(max_unfinished_jobs=1))
    spec = a_spec(idempotency_key="k", body_digest="d")
    admission.check(world.state, spec)
    world.tell(events.JobSubmitted(JobId("a"), spec))
    with pytest.raises(OutputExists, match="job a is writing to"):
        admission.check(world.state, a_spec(output_path="file:///out/"))
    with pytest.raises(LimitExceeded, match="1 jobs are unfinished"):
        admission.check(world.state, a_spec(output_path="file:///other"))
    assert admission.submitted_before(world.state, "k", "d").id == "a"
    assert admission.submitted_before(world.state, "", "d") is None
    with pytest.raises(IdempotencyConflict, match="job a"):
        admission.submitted_before(world.state, "k", "another")


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ("file:///data/out", "file:///data//x/.././out/"),
        ("file:///out", "file:////out"),
        ("s3://bucket/a b/out", "https://store.example/bucket/a%20b/out/"),
        ("http://127.0.0.1:9000/bucket/out", "http://localhost:9000/bucket/%6Fut"),
    ],
)
def test_an_output_is_reserved_however_it_is_written(world, held, asked):
    world.job("a", output_path=held)
    with pytest.raises(OutputExists, match="job a is writing to"):
        admission.check(world.state, a_spec(output_path=asked))


def test_outputs_that_only_look_alike_are_different_places(world):
    world.job("a", output_path="s3://bucket/out")
    for other in ("s3://bucket//out", "s3://bucket/out2", "s3://bucket2/out", "file:///bucket/out"):
        admission.check(world.state, a_spec(output_path=other))


def test_a_reserved_output_is_free_again_when_the_job_is_cleaned_up(world):
    world.job("a", output_path="file:///out")
    world.tell(events.StopRequested(JobId("a")))
    world.tell(events.CleanUpFinished(JobId("a")))
    admission.check(world.state, a_spec())


def test_a_failed_task_waits_a_while_for_another_worker_then_takes_the_same(world):
    job = world.job(maps=2)
    world.workers("w1", "w2")
    holder = job.maps[0].attempts[0].worker
    world.failed("j-m-00000-0")
    assert attempts(world.wait(5_000)) == []
    assert attempts(world.wait(5_001)) == ["j-m-00000-1"]
    assert job.maps[0].attempts[1].worker == holder


def test_a_task_that_avoids_the_idle_worker_lets_another_job_have_it(world):
    world.job("a", maps=2)
    world.workers("w1", "w2")
    world.failed("a-m-00000-0")
    world.wait(1_000)
    job = world.job("b")
    assert len(job.maps[0].attempts) == 1


def test_network_storage_that_is_away_does_not_use_up_max_attempts(world):
    job = world.job(max_attempts=1)
    world.workers("w1")
    for number in range(6):
        world.failed(f"j-m-00000-{number}", Failure("storage_unavailable", "s3 does not answer"))
        world.wait(60_000)
    assert job.status is JobStatus.RUNNING


# Restarts


def test_a_restart_folds_to_the_same_model(world):
    job = world.job(maps=3)
    world.workers("w1", "w2")
    world.done("j-m-00000-0")
    world.failed("j-m-00001-0")
    again = world.restart()
    assert again.state.jobs == {JobId("j"): job}


def test_after_a_restart_planning_and_commits_go_on(world):
    world.job("a", maps=0, n_reducers=0)
    world.tell(events.JobSubmitted(JobId("b"), a_spec(output_path="file:///b")))
    assert world.restart().asked == [commands.CommitOutput(JobId("a")), commands.PlanInput(JobId("b"))]


def test_a_worker_that_comes_back_with_its_attempt_is_attached(world):
    world.job()
    world.workers("w1")
    again = world.restart()
    asked = again.tell(events.WorkerJoined(WorkerId("w1"), "w1:8090", attempt=AttemptId("j-m-00000-0")))
    assert asked == [commands.AttachAttempt(AttemptId("j-m-00000-0"), WorkerId("w1"))]
    again.done("j-m-00000-0")
    assert again.state.jobs[JobId("j")].maps[0].accepted == "j-m-00000-0"


def test_a_worker_that_comes_back_under_another_name_keeps_its_attempt(world):
    world.job()
    world.workers("w1~2")
    again = world.restart()
    attempt = AttemptId("j-m-00000-0")
    asked = again.tell(events.WorkerJoined(WorkerId("w1"), "w1:8090", attempt=attempt))
    assert asked == [commands.AttachAttempt(attempt, WorkerId("w1"))]
    assert again.tell(events.WorkerJoined(WorkerId("w1~2"), "w1:8090")) == []  # the name says nothing any more
    third = again.restart()
    assert third.tell(events.WorkerJoined(WorkerId("w1"), "w1:8090")) == [
        commands.AttachAttempt(attempt, WorkerId("w1"))
    ]
    assert attempts(third.wait(10_000)) == []
    third.done("j-m-00000-0")
    assert third.state.jobs[JobId("j")].maps[0].accepted == attempt


def test_a_worker_with_the_attempt_of_another_has_forgotten_its_own(world):
    world.job(maps=2)
    world.workers("w1", "w2")
    again = world.restart()
    worker = again.worker_of("j-m-00000-0")
    again.tell(events.WorkerJoined(worker, "w:8090", attempt=AttemptId("j-m-00001-0")))
    assert [attempt.status for attempt in again.state.jobs[JobId("j")].maps[0].attempts] == [AttemptStatus.LOST]
    assert again.worker_of("j-m-00001-0") == worker


def test_a_worker_that_comes_back_idle_may_still_know_the_result(world):
    world.job()
    world.workers("w1")
    again = world.restart()
    asked = again.tell(events.WorkerJoined(WorkerId("w1"), "w1:8090"))
    assert asked == [commands.AttachAttempt(AttemptId("j-m-00000-0"), WorkerId("w1"))]
    forgotten = Failure("object_not_found", "unknown attempt")
    asked = again.tell(
        events.AttemptLost(AttemptId("j-m-00000-0"), WorkerId("w1"), forgotten, worker_usable=True),
    )
    assert attempts(asked) == ["j-m-00000-1"]


def test_a_worker_that_comes_back_with_another_attempt_lost_the_expected_one(world):
    job = world.job()
    world.workers("w1")
    again = world.restart()
    stale = AttemptId("old-m-00000-0")
    again.tell(events.WorkerJoined(WorkerId("w1"), "w1:8090", attempt=stale))
    job = again.state.jobs[JobId("j")]
    assert job.maps[0].attempts[0].failure.message == "the worker forgot the attempt"
    assert attempts(again.tell(events.AttemptCancelled(stale, WorkerId("w1")))) == ["j-m-00000-1"]


def test_attempts_of_workers_that_stay_away_are_lost_after_the_grace(world):
    world.job()
    world.workers("w1")
    again = world.restart()
    again.workers("w2")
    assert attempts(again.wait(9_999)) == []
    assert attempts(again.wait(1)) == ["j-m-00000-1"]


def test_an_ended_job_is_cleaned_up_after_a_restart_when_the_grace_is_over(world):
    world.job()
    world.workers("w1")
    world.tell(events.StopRequested(JobId("j")))
    again = world.restart()
    stale = AttemptId("j-m-00000-0")
    asked = again.tell(events.WorkerJoined(WorkerId("w1"), "w1:8090", attempt=stale))
    assert commands.CancelAttempt(stale, WorkerId("w1"), "nobody waits for the attempt any more") in asked
    assert commands.CleanUp(JobId("j")) not in again.wait(10_000)
    assert commands.CleanUp(JobId("j")) in again.cancelled("j-m-00000-0")
    again.tell(events.CleanUpFinished(JobId("j")))
    assert again.restart().wait(10_000) == []


def test_retries_that_were_put_off_are_due_after_a_restart(world):
    world.job()
    world.workers("w1")
    world.failed("j-m-00000-0")
    again = world.restart()
    again.workers("w2")
    assert attempts(again.wait(200)) == ["j-m-00000-1"]


def test_decide_changes_nothing(world):
    from copy import deepcopy

    from apollo_coordinator.core.scheduler import decide

    world.job(maps=2)
    world.workers("w1")
    before = deepcopy(world.state)
    outcome = decide(
        world.state, events.AttemptDone(AttemptId("j-m-00000-0"), WorkerId("w1"), {}, output_path="x"), world.now_ms
    )
    assert [type(fact) for fact in outcome.facts] == [facts.AttemptAccepted, facts.StreamEnded]
    assert world.state == before
