"""Workers that were told to end: they get nothing more, finish what they run, and cost a job nothing."""

from itertools import pairwise

import pytest

from apollo_common.errors import WorkerDrained
from apollo_common.ids import AttemptId, WorkerId
from apollo_coordinator.core import commands, events
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import AttemptStatus, Failure, JobStatus
from support.scheduling import World, attempts

HANDED_BACK = Failure(WorkerDrained.reason, "the worker was told to end before the attempt had")
W1, W2 = WorkerId("w1"), WorkerId("w2")


@pytest.fixture
def world():
    return World()


def test_an_idle_worker_that_drains_is_released_at_once_and_gets_nothing(world):
    world.workers("w1")
    assert world.tell(events.WorkerDraining(W1)) == [commands.ReleaseWorker(W1)]
    world.job()
    assert attempts(world.asked) == []
    assert world.tell(events.WorkerLeft(W1, "released")) == []


def test_a_worker_finishes_what_it_runs_and_is_then_released(world):
    job = world.job(maps=2)
    world.workers("w1")
    assert world.tell(events.WorkerDraining(W1)) == []
    asked = world.done("j-m-00000-0")
    assert job.maps[0].accepted == "j-m-00000-0"
    assert commands.ReleaseWorker(W1) in asked
    assert attempts(asked) == []


def test_an_attempt_given_out_before_the_pool_wanted_the_worker_back_is_safe(world):
    world.workers("w1")
    job = world.job()
    assert attempts(world.asked) == ["j-m-00000-0"]
    assert commands.ReleaseWorker(W1) not in world.tell(events.WorkerDraining(W1))
    world.done("j-m-00000-0")
    assert job.maps[0].accepted == "j-m-00000-0"


def test_hearing_twice_that_a_worker_drains_or_of_a_stranger_changes_nothing(world):
    world.job(maps=2)
    world.workers("w1")
    for worker in (W1, W1, WorkerId("nobody")):
        assert world.tell(events.WorkerDraining(worker)) == []


@pytest.mark.parametrize("how", ["handed back", "gone", "stream broken", "cancelled by itself"])
def test_what_a_draining_worker_loses_uses_up_nothing_and_is_held_against_nobody(how):
    world = World(Limits(max_lost_attempts=2, quarantine_after_losses=1))
    job = world.job(maps=3, max_attempts=1)
    world.workers("good")
    world.done("j-m-00000-0")
    for number in range(5):
        name = f"w{number}"
        world.workers(name)
        world.wait(1_000)
        (attempt,) = [a for t in job.maps for a in t.attempts if a.worker == name]
        assert attempt.status is AttemptStatus.RUNNING
        if how == "handed back":  # the worker says so before the pool does
            world.tell(events.AttemptLost(attempt.id, WorkerId(name), HANDED_BACK))
        else:
            world.tell(events.WorkerDraining(WorkerId(name)))
            if how == "gone":
                world.tell(events.WorkerLeft(WorkerId(name), "it was evicted"))
            elif how == "stream broken":
                world.lost(attempt.id)
            else:
                world.cancelled(attempt.id)
        assert attempt.status is AttemptStatus.LOST
        assert attempt.failure.reason == WorkerDrained.reason
        assert WorkerId(name) not in world.state.workers
    assert job.status is JobStatus.RUNNING
    assert not world.state.records


def test_a_task_that_is_handed_back_without_end_fails_its_job():
    """As on a node that evicts pods for what the program itself uses up."""
    world = World(Limits(max_handed_back_attempts=3))
    job = world.job()
    for number in range(3):
        assert job.status is JobStatus.RUNNING
        world.wait(60_000)
        world.workers(f"w{number}")
        world.tell(events.AttemptLost(AttemptId(f"j-m-00000-{number}"), WorkerId(f"w{number}"), HANDED_BACK))
    assert job.status is JobStatus.FAILED
    assert job.failure.reason == WorkerDrained.reason
    assert job.failure.message == f"task j-m-00000 was handed back 3 times; the last: {HANDED_BACK.message}"
    assert job.failure.attempt == "j-m-00000-2"


def test_what_is_handed_back_again_and_again_is_repeated_with_growing_pauses(world):
    job = world.job()
    starts = []
    for number in range(6):
        world.workers(f"w{number}")
        while job.maps[0].attempts[number:] == []:
            world.wait(100)
        starts.append(world.now_ms)
        world.tell(events.AttemptLost(AttemptId(f"j-m-00000-{number}"), WorkerId(f"w{number}"), HANDED_BACK))
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert pauses == [0, 0, 200, 400, 800]


def test_a_fetch_failure_on_a_draining_worker_still_names_its_map(world):
    job = world.job(maps=1)
    world.workers("w1")
    world.done("j-m-00000-0")
    world.opened("j-r-00000-0")
    world.tell(events.WorkerDraining(W1))
    world.fetch_failed("j-r-00000-0", "j-m-00000-0")
    assert job.maps[0].accepted is None
    assert job.reduces[0].attempts[0].failure.reason == "fetch_failed"


def test_a_worker_that_waits_in_quarantine_may_drain(world):
    world = World(Limits(quarantine_after_tasks=1))
    world.job(maps=9)
    world.workers("good", "w1")
    world.done("j-m-00000-0")
    held = world.state.workers[W1].attempt
    assert held is not None
    world.failed(held)
    assert world.state.workers[W1].quarantined
    assert world.tell(events.WorkerDraining(W1)) == [commands.ReleaseWorker(W1)]


def test_after_a_restart_a_draining_worker_is_attached_and_then_let_go(world):
    world.job(maps=2)
    world.workers("w1")
    later = world.restart()
    asked = later.tell(events.WorkerJoined(W1, "w1:8090", attempt=AttemptId("j-m-00000-0"), draining=True))
    assert asked == [commands.AttachAttempt(AttemptId("j-m-00000-0"), W1)]
    asked = later.done("j-m-00000-0")
    assert later.state.jobs["j"].maps[0].accepted == "j-m-00000-0"
    assert commands.ReleaseWorker(W1) in asked
    assert later.tell(events.WorkerJoined(W2, "w2:8090", draining=True)) == [commands.ReleaseWorker(W2)]
