"""Where the time of attempts went: added up by phase, taken away with what is lost, the same after a restart."""

import asyncio

import pytest

from apollo_common.errors import UnknownJob
from apollo_common.ids import AttemptId, TaskId
from apollo_common.timings import NO_TIMINGS, Timings
from apollo_coordinator.api.viewing import view_task
from apollo_coordinator.core import events
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import TaskKind
from apollo_coordinator.engine import EngineSettings
from apollo_coordinator.order import AttemptDone, AttemptOrder, AttemptProgress
from apollo_coordinator.store.journal import SqliteJournal
from support.engine import Site, ended, submit, until
from support.scheduling import COUNTERS, World

SLOW_PROGRAM = Timings(read_ms=5, program_ms=1000, sort_ms=20)
SLOW_STORE = Timings(read_ms=3000, merge_ms=7, commit_ms=2)
QUICK = EngineSettings(limits=Limits(retry_delay_ms=1, reattach_grace_ms=100), tick_ms=5)


@pytest.fixture
def world() -> World:
    return World()


def done(world: World, attempt: str, timings: Timings) -> None:
    world.tell(
        events.AttemptDone(AttemptId(attempt), world.worker_of(attempt), COUNTERS, output_path=attempt, timings=timings)
    )


def progress(world: World, attempt: str, timings: Timings) -> None:
    worker = world.worker_of(attempt)
    world.tell(events.AttemptProgressed(AttemptId(attempt), worker, 1, 10, COUNTERS, timings=timings))


def test_accepted_attempts_are_added_up_by_phase(world):
    job = world.job(maps=2, n_reducers=1)
    world.workers("w1", "w2")
    done(world, "j-m-00000-0", SLOW_PROGRAM)
    done(world, "j-m-00001-0", SLOW_STORE)
    world.opened("j-r-00000-0")
    done(world, "j-r-00000-0", SLOW_STORE)
    assert job.map_timings == Timings(read_ms=3005, merge_ms=7, program_ms=1000, sort_ms=20, commit_ms=2)
    assert job.reduce_timings == SLOW_STORE
    assert job.maps[0].attempts[0].timings == SLOW_PROGRAM


def test_a_running_attempt_has_what_it_last_told_and_one_that_failed_has_nothing(world):
    job = world.job(maps=1, n_reducers=1)
    world.workers("w1")
    progress(world, "j-m-00000-0", SLOW_PROGRAM)
    attempt = job.maps[0].attempts[0]
    assert attempt.timings == SLOW_PROGRAM
    world.failed("j-m-00000-0")
    assert attempt.timings == job.map_timings == NO_TIMINGS


def test_a_map_output_that_is_lost_is_taken_away(world):
    job = world.job(maps=2, n_reducers=1)
    world.workers("w1", "w2")
    done(world, "j-m-00000-0", SLOW_PROGRAM)
    done(world, "j-m-00001-0", SLOW_STORE)
    world.opened("j-r-00000-0")
    world.fetch_failed("j-r-00000-0", "j-m-00001-0")
    assert job.map_timings == SLOW_PROGRAM
    done(world, "j-m-00001-1", SLOW_PROGRAM)
    assert job.map_timings == SLOW_PROGRAM.plus(SLOW_PROGRAM)


def test_samplers_run_the_mapper_and_count_with_the_maps(world):
    job = world.job(maps=2, n_reducers=2, partitioner="range")
    world.workers("w1", "w2")
    done(world, "j-s-00000-0", SLOW_PROGRAM)
    done(world, "j-s-00001-0", SLOW_STORE)
    assert job.map_timings == SLOW_PROGRAM.plus(SLOW_STORE)
    assert job.reduce_timings == NO_TIMINGS


async def test_the_api_asks_for_samplers_that_run_too():
    async def hangs(_: AttemptOrder):
        yield AttemptProgress(5, 10, {}, timings=SLOW_STORE)
        await asyncio.Event().wait()

    site = Site()
    site.add_workers(1, hangs)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, n_reducers=2, partitioner="range")
        await until(lambda: engine.timings(job)[TaskKind.MAP] == SLOW_STORE)
        assert engine.timings(job)[TaskKind.REDUCE] == NO_TIMINGS
        sampler = await engine.task(TaskId(f"{job}-s-00000"))
        assert (await engine.tasks(job))[0] is sampler
        shown = view_task(sampler, engine.job(job).spec, {})
        assert (shown.type, shown.status, shown.program.name) == ("sampler", "in-progress", "builtin:identity")
        with pytest.raises(UnknownJob):
            await engine.task(TaskId(f"{job}-s-00009"))
        with pytest.raises(UnknownJob):
            await engine.task(TaskId(f"{job}-x-00000"))
    await site.close()


async def test_the_api_asks_for_accepted_attempts_and_those_that_run():
    async def last_map_hangs(order: AttemptOrder):
        if order.task.index == 2:
            yield AttemptProgress(5, 10, {}, timings=SLOW_STORE)
            await asyncio.Event().wait()
        yield AttemptDone({}, timings=SLOW_PROGRAM)

    site = Site()
    site.add_workers(3, last_map_hangs)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine)
        await until(lambda: engine.timings(job)[TaskKind.MAP] == SLOW_PROGRAM.plus(SLOW_PROGRAM).plus(SLOW_STORE))
        assert engine.timings(job)[TaskKind.REDUCE] == NO_TIMINGS
    await site.close()


async def test_timings_outlive_a_restart_in_summaries_and_in_facts(tmp_path):
    async def timed(order: AttemptOrder):
        yield AttemptDone({}, timings=SLOW_PROGRAM if order.task.kind is TaskKind.MAP else SLOW_STORE)

    site = Site(journal=await SqliteJournal.open(tmp_path))
    site.add_workers(2, timed)
    async with site.coordinator(QUICK) as engine:
        job = await submit(engine, n_reducers=1)
        await ended(engine, job)
        await until(lambda: engine.job(job).totals)
        before = engine.timings(job)
    assert before == {
        TaskKind.MAP: SLOW_PROGRAM.plus(SLOW_PROGRAM).plus(SLOW_PROGRAM),
        TaskKind.REDUCE: SLOW_STORE,
    }
    async with site.coordinator(QUICK) as engine:
        assert engine.timings(job) == before
        assert (await engine.attempt(AttemptId(f"{job}-r-00000-0"))).timings == SLOW_STORE
    await site.close()
    await site.journal.close()
