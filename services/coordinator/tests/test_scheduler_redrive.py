"""Redrives in the core: adopted map outputs, tasks over bad records, and what happens to them."""

from dataclasses import replace

import pytest

from apollo_common.errors import UnknownJob
from apollo_common.ids import AttemptId, JobId
from apollo_coordinator.core import admission, commands, events, facts
from apollo_coordinator.core.adoption import AdoptedOutput, Adoption, BadRecordRange
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import JobStatus, TaskStatus
from apollo_coordinator.core.redrive import (
    MAX_TASK_RECORDS_BYTES,
    JobNotSucceeded,
    MappersDiffer,
    NoBadRecords,
    RedriveOfRedrive,
    check_redrivable,
    mapper_to_replace,
    plan_redrive,
    with_mapper,
)
from apollo_coordinator.core.spec import JobInput, ProgramRef, ProgramSource
from support.scheduling import World, a_spec, attempts, durable_view, fold, splits

SKIPPED = {"apollo": {"input_records": 10, "bad_records": 2, "bisection_runs": 9}, "mine": {"n": 1}}
FIXED = ProgramRef(ProgramSource.SHELL, "fixed")
RETENTION_MS = 10_000
LIMITS = Limits(retention_ms=RETENTION_MS)


def a_world(maps: int = 2, bad: tuple[int, ...] = (1,), **spec) -> World:
    """The first job has succeeded; its maps `bad` have skipped two records each."""
    world = World(LIMITS)
    world.workers("w1", "w2")
    world.job("first", maps=maps, **{"max_bad_records": 9, "keep_intermediate": True} | spec)
    for index in range(maps):
        attempt = AttemptId(f"first-m-{index:05d}-0")
        if not world.state.jobs["first"].spec.n_reducers:
            world.opened(attempt)
        counters = SKIPPED if index in bad else {"apollo": {"input_records": 5}}
        world.tell(
            events.AttemptDone(
                attempt, world.worker_of(attempt), counters, output_path=f"at/{attempt}", size_bytes=7, records=3
            )
        )
    finish_reduces(world, "first")
    return world


def finish_reduces(world: World, job: str) -> None:
    for task in world.state.jobs[JobId(job)].reduces:
        world.opened(f"{task.id}-0")
        world.done(f"{task.id}-0")
    if world.state.jobs[JobId(job)].status is JobStatus.COMMITTING:
        world.tell(events.CommitFinished(JobId(job)))


def cleaned(world: World, job: str) -> None:
    world.tell(events.CleanUpFinished(JobId(job)))


def redrive(world: World, name: str = "again", **spec) -> list[commands.Command]:
    """Submitted and planned; what the plan leads to."""
    first = world.state.jobs[JobId("first")]
    world.tell(
        events.JobSubmitted(
            JobId(name), replace(first.spec, output_path=f"file:///{name}", redrive_of="first", mapper=FIXED, **spec)
        )
    )
    sizes = {task.accepted: [10, 20] for task in first.maps if task.counters["apollo"].get("bad_records")}
    return world.tell(events.InputPlanned(JobId(name), *plan_redrive(first, sizes)))


def test_only_the_bad_records_are_mapped_and_all_outputs_are_reduced():
    world = a_world(maps=3, bad=(0, 2))
    asked = redrive(world)
    job = world.state.jobs["again"]
    assert [task.origin for task in job.maps] == [
        AdoptedOutput("first-m-00000-0", "at/first-m-00000-0", 7, 3),
        BadRecordRange("first-m-00000-0", 1, 2, 30),
        AdoptedOutput("first-m-00001-0", "at/first-m-00001-0", 7, 3),
        AdoptedOutput("first-m-00002-0", "at/first-m-00002-0", 7, 3),
        BadRecordRange("first-m-00002-0", 1, 2, 30),
    ]
    assert attempts(asked) == ["again-m-00001-0", "again-m-00004-0"]
    assert [task.split for task in job.maps] == [splits(3)[index] for index in (0, 0, 1, 2, 2)]
    assert attempts(world.done("again-m-00001-0")) == []
    assert attempts(world.done("again-m-00004-0")) == ["again-r-00000-0"]
    assert [task.output.path for task in job.maps] == [
        "at/first-m-00000-0",
        "again-m-00001-0",
        "at/first-m-00001-0",
        "at/first-m-00002-0",
        "again-m-00004-0",
    ]
    finish_reduces(world, "again")
    assert job.status is JobStatus.SUCCEEDED


def test_counters_are_those_of_adopted_outputs_and_of_the_new_attempts_but_for_what_was_skipped():
    world = a_world(maps=2, bad=(1,))
    redrive(world)
    world.done("again-m-00002-0")
    finish_reduces(world, "again")
    assert world.state.jobs["again"].counters == {"apollo": {"input_records": 5 + 10 + 10 + 10}, "mine": {"n": 1}}


def test_a_map_only_job_adopts_nothing():
    world = a_world(maps=2, bad=(1,), n_reducers=0)
    redrive(world)
    job = world.state.jobs["again"]
    assert [task.origin for task in job.maps] == [BadRecordRange("first-m-00001-0", 1, 2, 30)]
    assert job.counters == {}
    world.opened("again-m-00000-0")
    world.done("again-m-00000-0")
    assert job.status is JobStatus.COMMITTING


def test_many_records_are_shared_out_among_tasks():
    world = a_world(maps=1, bad=(0,))
    mib = 1 << 20
    sizes = [mib, mib, 1, mib, 0, mib - 1, 1, 0, 1]
    _, adoption = plan_redrive(world.state.jobs["first"], {AttemptId("first-m-00000-0"): sizes})
    ranges = adoption.origins[1:]
    assert [(piece.first, piece.count) for piece in ranges] == [(1, 2), (3, 4), (7, 3)]
    assert [piece.size_bytes for piece in ranges] == [MAX_TASK_RECORDS_BYTES, MAX_TASK_RECORDS_BYTES, 2]


def test_the_splitters_of_the_first_job_cut_its_redrive_too():
    world = a_world()
    first = world.state.jobs["first"]
    first.splitters = "packed"
    _, adoption = plan_redrive(first, {AttemptId("first-m-00001-0"): [1]})
    world.tell(
        events.JobSubmitted(
            JobId("again"),
            replace(first.spec, output_path="file:///x", redrive_of="first", partitioner="range", n_reducers=2),
        )
    )
    world.tell(events.InputPlanned(JobId("again"), splits(2)[:1] * len(adoption.origins), adoption))
    again = world.state.jobs["again"]
    assert (again.splitters, again.samplers) == ("packed", [])
    assert again.maps[2].status is TaskStatus.IN_PROGRESS


def test_an_adopted_output_that_is_lost_fails_the_job_and_says_what_helps():
    world = a_world()
    redrive(world)
    world.done("again-m-00002-0")
    world.opened("again-r-00000-0")
    world.fetch_failed("again-r-00000-0", "first-m-00000-0")
    job = world.state.jobs["again"]
    assert (job.status, job.failure.reason) == (JobStatus.FAILED, "fetch_failed")
    assert "apollo redrive first --remap" in job.failure.message
    assert [task.status for task in job.maps] == [TaskStatus.COMPLETED] * 3


def test_a_new_map_output_that_is_lost_is_made_again():
    world = a_world()
    redrive(world)
    world.done("again-m-00002-0")
    world.opened("again-r-00000-0")
    world.fetch_failed("again-r-00000-0", "again-m-00002-0")
    job = world.state.jobs["again"]
    assert [task.status for task in job.maps[:2]] == [TaskStatus.COMPLETED] * 2
    assert job.maps[2].status is TaskStatus.IN_PROGRESS


def test_a_redrive_survives_a_restart_at_every_fact():
    world = a_world(maps=2, bad=(0, 1))
    redrive(world)
    for task in ("again-m-00001", "again-m-00003"):
        world.done(f"{task}-0")
    finish_reduces(world, "again")
    assert durable_view(fold(LIMITS, world.journal)) == durable_view(world.state)
    for step in world.steps:
        world.restart(step)


def test_a_job_is_not_forgotten_while_a_redrive_needs_it():
    world = a_world()
    cleaned(world, "first")
    redrive(world)
    world.wait(RETENTION_MS + 1)
    assert "first" in world.state.jobs
    again = world.restart()
    again.workers("w3")
    again.wait(RETENTION_MS + 60_000)
    assert "first" in again.state.jobs
    world.tell(events.StopRequested(JobId("again")))
    world.cancelled("again-m-00002-0")
    cleaned(world, "again")
    world.wait(RETENTION_MS + 1)
    world.wait(1)
    assert list(world.state.jobs) == []


def test_a_job_that_is_cleaned_up_behind_its_redrive_waits_for_its_retention_too():
    world = a_world()
    redrive(world)
    world.tell(events.StopRequested(JobId("again")))
    world.cancelled("again-m-00002-0")
    cleaned(world, "again")
    cleaned(world, "first")
    world.wait(RETENTION_MS + 1)
    world.wait(1)
    assert list(world.state.jobs) == []


def test_a_redrive_of_a_job_that_was_forgotten_meanwhile_is_refused():
    world = a_world()
    with pytest.raises(UnknownJob, match="there is no job gone any more"):
        admission.check(world.state, a_spec(redrive_of="gone", output_path="file:///x"))


def test_what_can_be_redriven():
    world = a_world()
    first = world.state.jobs["first"]
    check_redrivable(first)
    with pytest.raises(NoBadRecords, match="submit a new job"):
        check_redrivable(replace(first, counters={}))
    with pytest.raises(JobNotSucceeded, match="wait for it"):
        check_redrivable(replace(first, status=JobStatus.RUNNING))
    with pytest.raises(JobNotSucceeded, match="run the job again"):
        check_redrivable(replace(first, status=JobStatus.FAILED))
    with pytest.raises(RedriveOfRedrive, match="redrive job older"):
        check_redrivable(replace(first, spec=replace(first.spec, redrive_of="older")))


def test_one_mapper_is_replaced_wherever_it_read():
    first = a_world(maps=2, bad=(0,)).state.jobs["first"]
    good, bad = ProgramRef(ProgramSource.SHELL, "good"), ProgramRef(ProgramSource.SHELL, "bad")
    inputs = tuple(JobInput(f"file:///{at}", mapper) for at, mapper in enumerate((good, bad, bad)))
    job = replace(first, spec=replace(first.spec, mapper=good, inputs=inputs))
    for task, job_input in zip(job.maps, (1, 0), strict=True):
        task.split = replace(task.split, job_input=job_input)
    assert mapper_to_replace(job) == bad
    spec = with_mapper(job.spec, bad, FIXED)
    assert ([given.mapper for given in spec.inputs], spec.mapper) == ([good, FIXED, FIXED], good)
    job.maps[1].counters = SKIPPED
    with pytest.raises(MappersDiffer, match="shell:bad, shell:good"):
        mapper_to_replace(job)


def test_a_job_without_inputs_of_their_own_has_one_mapper():
    first = a_world().state.jobs["first"]
    assert mapper_to_replace(first) == first.spec.mapper
    assert with_mapper(first.spec, first.spec.mapper, FIXED).mapper == FIXED


def test_only_a_redrive_takes_outputs_over():
    plans = [fact for fact in a_world().journal if isinstance(fact, facts.MapsPlanned)]
    assert [plan.adoption for plan in plans] == [None]
    assert Adoption((), {}).adopted == 0
