"""Workers that fail or lose one attempt after the other: quarantined, replaced, and taken back."""

import pytest

from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_coordinator.core import commands, events
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import JobStatus
from support.scheduling import WORKER_LOST, World, attempts


@pytest.fixture
def world():
    return World()


def names(count):
    return [f"w{number}" for number in range(count)]


def held(world, worker):
    return world.state.workers[WorkerId(worker)].attempt


def a_flapping_worker(world, times=3):
    """A pool meets one worker again and again; each time it loses its attempt. What was asked the last time."""
    asked = []
    for number in range(1, times + 1):
        name = "flap" if number == 1 else f"flap~{number}"
        world.workers(name)
        world.wait(60_000)
        asked = world.lost(held(world, name))
    return asked


def test_a_worker_that_fails_one_task_after_the_other_is_quarantined(world):
    job = world.job(maps=20)
    world.workers("good")
    world.done("j-m-00000-0")
    world.workers("bad")
    for _ in range(3):
        (attempt,) = [a.id for t in job.maps for a in t.attempts if a.worker == "bad" and not a.status.ended]
        asked = world.failed(attempt)
    assert commands.ReleaseWorker(WorkerId("bad")) in asked
    assert world.state.workers[WorkerId("bad")].quarantined
    assert attempts(world.wait(1)) == []
    assert job.status is JobStatus.RUNNING


def test_a_program_that_fails_everywhere_quarantines_nobody(world):
    job = world.job(maps=20)
    world.workers(*names(4))
    while job.status is JobStatus.RUNNING:
        for entry in list(world.state.queues[job.id].running.values()):
            if job.status is JobStatus.RUNNING:
                world.failed(entry.attempt.id)
        world.wait(50)
    assert job.status is JobStatus.FAILED
    assert not any(worker.quarantined for worker in world.state.workers.values())


def test_success_clears_a_workers_name(world):
    world.job(maps=20)
    world.workers("w1", "w2")
    worker = world.state.workers[WorkerId("w2")]
    for _ in range(6):
        world.failed(worker.attempt)
        world.done(worker.attempt)
    assert not worker.quarantined


def test_the_last_worker_is_never_quarantined(world):
    job = world.job(maps=20, max_attempts=100)
    world.workers("w1")
    world.done("j-m-00000-0")
    for _ in range(5):
        world.failed(world.state.workers[WorkerId("w1")].attempt)
    assert not world.state.workers[WorkerId("w1")].quarantined
    assert len(world.state.workers[WorkerId("w1")].failed_tasks) == Limits().quarantine_after_tasks
    assert job.status is JobStatus.RUNNING


# Lost attempts


def test_a_flapping_worker_comes_back_in_quarantine_and_gets_nothing(world):
    job = world.job(maps=20)
    world.workers("good", "better")
    world.done("j-m-00000-0")
    a_flapping_worker(world)
    world.workers("flap~4")
    assert world.state.workers[WorkerId("flap~4")].quarantined
    assert held(world, "flap~4") is None
    world.done(held(world, "good"))
    assert held(world, "flap~4") is None
    assert commands.ReleaseWorker(WorkerId("flap~4")) not in world.asked
    assert job.status is JobStatus.RUNNING


def test_quarantine_ends_after_a_time(world):
    world.job(maps=20)
    world.workers("good", "better")
    world.done("j-m-00000-0")
    a_flapping_worker(world)
    world.workers("flap~4")
    assert attempts(world.wait(world.limits.quarantine_ms - 1)) == []
    assert len(attempts(world.wait(1))) == 1
    assert not world.state.workers[WorkerId("flap~4")].quarantined


def test_quarantine_ends_when_there_is_nobody_else(world):
    world.job(maps=20)
    world.workers("good", "better")
    world.done("j-m-00000-0")
    a_flapping_worker(world)
    world.workers("flap~4")
    for name in ("good", "better"):
        world.tell(events.WorkerLeft(WorkerId(name), "gone"))
    world.wait(200)
    assert held(world, "flap~4") is not None


def test_success_between_losses_clears_the_record(world):
    world.job(maps=20)
    world.workers("good", "better")
    world.done("j-m-00000-0")
    a_flapping_worker(world, times=2)
    world.workers("flap~3")
    world.wait(60_000)
    world.done(held(world, "flap~3"))
    world.lost(held(world, "flap~3"))
    world.workers("flap~4")
    assert not world.state.workers[WorkerId("flap~4")].quarantined


def test_losses_before_anything_went_well_quarantine_nobody(world):
    world.job(maps=20)
    world.workers("good", "better")
    a_flapping_worker(world)
    world.workers("flap~4")
    assert not world.state.workers[WorkerId("flap~4")].quarantined


def test_a_worker_that_can_read_no_map_output_is_quarantined(world):
    world.job(maps=1, n_reducers=12)
    world.workers("good", "bad")
    world.done("j-m-00000-0")
    for _ in range(3):
        reduce = held(world, "bad")
        world.opened(reduce)
        asked = world.fetch_failed(reduce, "an-m-00000-0")
    assert commands.ReleaseWorker(WorkerId("bad")) in asked
    assert held(world, "bad") is None


def test_at_least_half_of_the_workers_stay_in_use():
    world = World(Limits(quarantine_after_losses=1))
    world.job(maps=40)
    world.workers(*names(6))
    world.done("j-m-00000-0")
    for number in range(5):
        world.tell(events.AttemptLost(AttemptId(held(world, f"w{number}")), WorkerId(f"w{number}"), WORKER_LOST))
    world.workers(*(f"w{number}~2" for number in range(5)))
    quarantined = [worker.quarantined for worker in world.state.workers.values()]
    assert (quarantined.count(True), quarantined.count(False)) == (3, 3)


def test_a_quarantined_worker_that_returns_with_an_attempt_is_heard_to_its_end(world):
    world.job(maps=20)
    world.workers("good", "better")
    world.done("j-m-00000-0")
    a_flapping_worker(world)
    lost = world.state.jobs[JobId("j")].maps
    stale = next(a.id for task in lost for a in task.attempts if a.worker == "flap~3")
    asked = world.tell(events.WorkerJoined(WorkerId("flap~4"), "flap:8090", attempt=stale))
    assert commands.AttachAttempt(stale, WorkerId("flap~4")) in asked
    world.tell(events.AttemptCancelled(stale, WorkerId("flap~4")))
    assert held(world, "flap~4") is None
    assert world.state.workers[WorkerId("flap~4")].quarantined
