"""How the numbers of workers that jobs want reach the pool."""

import asyncio
import random

import pytest

from apollo_common.backoff import Backoff
from apollo_common.errors import PermanentError, TemporaryError
from apollo_common.ids import JobId
from apollo_coordinator.core import commands, events
from apollo_coordinator.core.model import Job
from apollo_coordinator.core.pod_overrides import PodOverrides
from apollo_coordinator.core.state import State
from apollo_coordinator.engine.executor import Executor
from apollo_coordinator.engine.settings import EngineSettings
from support.engine import Site, engine_ports, until
from support.scheduling import a_spec

POOR, RICH = JobId("poor"), JobId("rich")


class PickyPool:
    """Refuses one job for a while; each call takes a moment."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.asked: list[tuple[JobId, int]] = []
        self.scaled: list[tuple[JobId, int]] = []
        self.wishes: list[PodOverrides | None] = []
        self.answers = asyncio.Event()
        self.answers.set()

    async def scale(self, job: JobId, workers: int, pods: PodOverrides | None = None) -> None:
        self.asked.append((job, workers))
        self.wishes.append(pods)
        await asyncio.sleep(0)
        await self.answers.wait()
        if job == POOR and self.error is not None:
            raise self.error
        self.scaled.append((job, workers))


@pytest.fixture
async def told():
    return []


def executor(pool, told, *jobs):
    settings = EngineSettings(pool_backoff=Backoff(first_ms=1, limit_ms=1))
    site = Site()
    site.pool = pool
    state = State(settings.limits)
    state.jobs.update({job.id: job for job in jobs})

    async def with_tasks(job):
        return state.jobs[job]

    return Executor(
        engine_ports(site),
        settings,
        state,
        told.append,
        random.Random(1),
        last_event=lambda _job: 0,
        with_tasks=with_tasks,
    )


async def test_a_job_that_is_refused_holds_no_other_up(told):
    pool = PickyPool(TemporaryError("the quota is used up"))
    work = executor(pool, told)
    try:
        work.dispatch(commands.ScalePool(POOR, 3))
        await until(lambda: len(pool.asked) > 2)
        work.dispatch(commands.ScalePool(RICH, 2))
        await until(lambda: pool.scaled)
        assert pool.scaled == [(RICH, 2)]
        assert told[0] == events.PoolTroubled(POOR, "the quota is used up")
        work.dispatch(commands.ScalePool(POOR, 0))  # the job has ended
        await until(lambda: (POOR, 0) in pool.asked)
        pool.error = None
        await until(lambda: len(pool.scaled) == 2)
        assert pool.scaled[1] == (POOR, 0)
    finally:
        await work.close()


async def test_numbers_that_come_while_the_pool_is_asked_become_one_call(told):
    pool = PickyPool(None)
    pool.error = None
    work = executor(pool, told)
    try:
        for workers in (1, 2, 3):
            work.dispatch(commands.ScalePool(RICH, workers))
        await until(lambda: (RICH, 3) in pool.scaled)
        assert len(pool.scaled) <= 2
        work.dispatch(commands.ScalePool(RICH, 3))
        await until(lambda: pool.scaled.count((RICH, 3)) == 2)
    finally:
        await work.close()


async def test_a_number_that_comes_while_another_is_refused_for_good_reaches_the_pool(told):
    pool = PickyPool(PermanentError("no such quota"))
    pool.answers.clear()
    work = executor(pool, told)
    try:
        work.dispatch(commands.ScalePool(POOR, 3))
        await until(lambda: pool.asked)
        work.dispatch(commands.ScalePool(POOR, 0))  # the job has ended
        await asyncio.sleep(0)  # heard of, while the first call still waits for its answer
        pool.answers.set()
        await until(lambda: len(pool.asked) == 2)
        assert pool.asked[1] == (POOR, 0)
    finally:
        await work.close()


async def test_a_refusal_for_good_is_told_once_and_the_next_number_is_tried(told):
    pool = PickyPool(PermanentError("no such quota"))
    work = executor(pool, told)
    try:
        work.dispatch(commands.ScalePool(POOR, 3))
        await until(lambda: told)
        pool.error = None
        work.dispatch(commands.ScalePool(POOR, 1))
        await until(lambda: pool.scaled)
        assert (pool.scaled, told) == ([(POOR, 1)], [events.PoolTroubled(POOR, "no such quota")])
    finally:
        await work.close()


async def test_the_pool_hears_what_a_job_asks_of_its_pods(told):
    pool = PickyPool(None)
    wishes = PodOverrides(limits={"memory": "2Gi"})
    work = executor(pool, told, Job(RICH, a_spec(kubernetes=wishes), 1), Job(POOR, a_spec(), 1))
    try:
        for job in (RICH, POOR):
            work.dispatch(commands.ScalePool(job, 1))
        await until(lambda: len(pool.wishes) == 2)
        assert pool.wishes == [wishes, None]
    finally:
        await work.close()
