"""A job can be stopped at any moment before its commit; whatever arrives afterwards changes nothing but frees workers.

A commit that goes well cannot be stopped, see test_scheduler_races.
"""

import pytest

from apollo_common.ids import JobId, WorkerId
from apollo_coordinator.core import commands, events, facts
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import AttemptStatus, Failure, JobStatus
from support.scheduling import COUNTERS, PROGRAM_FAILED, WORKER_LOST, World, a_spec, splits

J = JobId("j")
NO_SPACE = Failure("volume_full", "no space left")


def queued() -> World:
    world = World(Limits(max_running_jobs=1))
    world.job("first")
    world.tell(events.JobSubmitted(J, a_spec()))
    return world


def planning() -> World:
    world = World()
    world.tell(events.JobSubmitted(J, a_spec()))
    return world


def without_workers() -> World:
    world = World()
    world.job(maps=2)
    return world


def running_maps() -> World:
    world = without_workers()
    world.workers("w1", "w2")
    return world


def waiting_to_try_again() -> World:
    world = running_maps()
    world.failed("j-m-00000-0")
    world.done("j-m-00001-0")
    return world


def paused_by_a_full_volume() -> World:
    world = running_maps()
    world.failed("j-m-00000-0", NO_SPACE)
    return world


def opening_outputs() -> World:
    world = World()
    world.job(maps=2, n_reducers=2)
    world.workers("w1", "w2")
    world.done("j-m-00000-0")
    world.done("j-m-00001-0")
    return world


def running_reduces() -> World:
    world = opening_outputs()
    world.opened("j-r-00000-0")
    world.opened("j-r-00001-0")
    return world


def making_a_map_output_again() -> World:
    world = running_reduces()
    world.fetch_failed("j-r-00000-0", "j-m-00000-0")
    return world


def with_a_backup() -> World:
    world = World()
    world.job(maps=3)
    world.workers("w0", "w1", "w2")
    for second in range(1, 11):
        world.progress("j-m-00000-0", second)
        for index in (1, 2):
            if second < 10:
                world.progress(f"j-m-0000{index}-0", 10 * second)
            elif world.state.jobs[J].maps[index].accepted is None:
                world.done(f"j-m-0000{index}-0")
        world.wait(1_000)
    assert len(world.state.queues[J].running) == 2
    return world


def after_a_restart() -> World:
    return with_a_backup().restart()


MOMENTS = (
    queued,
    planning,
    without_workers,
    running_maps,
    waiting_to_try_again,
    paused_by_a_full_volume,
    opening_outputs,
    running_reduces,
    making_a_map_output_again,
    with_a_backup,
    after_a_restart,
)

JOB_MESSAGES = {
    "planned": events.InputPlanned(J, splits(3)),
    "not planned": events.PlanFailed(J, Failure("bucket_not_found", "no such bucket", retryable=False)),
    "commit delayed": events.CommitDelayed(J, "s3 is away"),
    "committed": events.CommitFinished(J),
    "not committed": events.CommitFailed(J, PROGRAM_FAILED),
    "stopped again": events.StopRequested(J),
    "nothing": events.Tick(),
}
ATTEMPT_MESSAGES = {
    "done": lambda attempt, worker: events.AttemptDone(attempt, worker, COUNTERS, output_path="late"),
    "failed": lambda attempt, worker: events.AttemptFailed(attempt, worker, PROGRAM_FAILED),
    "lost": lambda attempt, worker: events.AttemptLost(attempt, worker, WORKER_LOST),
    "unknown": lambda attempt, worker: events.AttemptLost(attempt, worker, WORKER_LOST, worker_usable=True),
    "cancelled": events.AttemptCancelled,
    "unreadable": lambda attempt, worker: events.FetchFailed(attempt, worker, "j-m-00000-0", WORKER_LOST),
    "progress": lambda attempt, worker: events.AttemptProgressed(attempt, worker, 1, 2, COUNTERS),
    "output opened": lambda attempt, worker: events.OutputOpened(attempt, worker, "file:///part", f"upload {attempt}"),
    "output not opened": lambda attempt, worker: events.OutputOpenFailed(attempt, worker, PROGRAM_FAILED),
    "worker left": lambda _attempt, worker: events.WorkerLeft(worker, "gone"),
}


def stopped(moment) -> World:
    world = moment()
    world.tell(events.StopRequested(J))
    job = world.state.jobs[J]
    assert job.status is JobStatus.STOPPED
    assert all(attempt.status is not AttemptStatus.RUNNING for task in job.maps for attempt in task.attempts)
    return world


def ended_well(world: World) -> None:
    """Everything that is outstanding comes to its end; the job is cleaned up once and stays as it was."""
    for attempt, worker in list(world.state.queues[J].outstanding.items()):
        world.tell(events.AttemptCancelled(attempt, worker))
    world.wait(world.limits.reattach_grace_ms)
    assert [command for command in world.asked if command == commands.CleanUp(J)] == [commands.CleanUp(J)]
    world.tell(events.CleanUpFinished(J))
    job = world.state.jobs[J]
    assert job.status is JobStatus.STOPPED
    assert [type(fact) for fact in world.facts].count(facts.JobEnded) == 1
    assert J not in world.state.queues
    assert all(worker.attempt is None for worker in world.state.workers.values())


@pytest.mark.parametrize("message", JOB_MESSAGES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_what_the_job_waited_for_comes_after_the_stop(moment, message):
    world = stopped(moment)
    world.tell(JOB_MESSAGES[message])
    ended_well(world)
    world.tell(JOB_MESSAGES[message])


@pytest.mark.parametrize("message", ATTEMPT_MESSAGES)
@pytest.mark.parametrize("moment", MOMENTS)
def test_what_workers_say_comes_after_the_stop(moment, message):
    world = stopped(moment)
    attempts = [(a.id, a.worker) for task in _tasks(world) for a in task.attempts]
    for attempt, worker in attempts:
        world.tell(ATTEMPT_MESSAGES[message](attempt, worker))
    ended_well(world)
    for attempt, worker in attempts:
        world.tell(ATTEMPT_MESSAGES[message](attempt, worker))


def test_a_stopped_jobs_worker_serves_the_next_job():
    world = stopped(running_maps)
    other = world.job("other")
    world.cancelled("j-m-00000-0")
    assert other.maps[0].attempts[0].worker == WorkerId("w1")


def _tasks(world: World) -> list:
    job = world.state.jobs[J]
    return [*job.maps, *job.reduces]
