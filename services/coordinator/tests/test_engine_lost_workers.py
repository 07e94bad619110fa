"""What becomes of an attempt whose worker cannot be reached any more, and of those whose coordinator comes back late.

On virtual time: what takes ten seconds there takes none here.
"""

import asyncio
from collections.abc import Callable

import pytest

from apollo_coordinator.core.model import Attempt, AttemptStatus, Job, JobStatus
from apollo_coordinator.engine import Engine, EngineSettings
from apollo_coordinator.order import AttemptOrder
from apollo_coordinator.pools.memory import MemoryPool, MemoryWorker
from apollo_coordinator.ports import PoolEvent
from support.engine import Site, ended, hang_on, submit, succeed, until
from support.quiet import quiet_logs
from support.virtual_time import run_virtually

SETTINGS = EngineSettings()
KILLED = ("its container worker was OOMKilled", "out_of_memory")


@pytest.fixture(autouse=True)
def quiet():
    with quiet_logs():
        yield


async def a_site() -> Site:
    """Its pool knows how workers end. The first attempt hangs."""
    site = Site()
    site.make_pool = lambda: telling(MemoryPool([worker for worker in site.workers if worker.reachable]))
    site.add_workers(1, hang_on("m-00000-0"))
    return site


def telling(pool: MemoryPool) -> MemoryPool:
    pool.tells_ends = True
    return pool


def adopting(pool: MemoryPool) -> MemoryPool:
    pool.adopts_at_start = True
    return pool


async def first_attempt(engine: Engine) -> Attempt:
    job = engine.state.jobs[await submit(engine)]
    await until(lambda: job.maps and job.maps[0].attempts)
    return job.maps[0].attempts[0]


async def end_of(site: Site, lose: Callable[[Site, MemoryWorker], object]) -> tuple[Attempt, float, Job]:
    """The first attempt after its worker was lost in some way, how many seconds that took to be known, and its job."""
    async with site.coordinator(SETTINGS) as engine:
        attempt = await first_attempt(engine)
        (worker,) = site.workers
        await until(lambda: worker.busy_with)
        began = asyncio.get_running_loop().time()
        await lose(site, worker)
        await until(lambda: attempt.status.ended)
        seconds = asyncio.get_running_loop().time() - began
        site.add_workers(1, succeed)
        (job,) = engine.jobs()
        await ended(engine, job.id)
        await until(lambda: not engine.state.queues)
    await site.close()
    return attempt, seconds, job


def test_an_end_that_the_pool_tells_before_the_stream_breaks_is_the_programs_failure():
    async def story() -> None:
        async def lose(site: Site, worker: MemoryWorker) -> None:
            site.pool.remove(worker.id, *KILLED)
            await worker.kill()

        attempt, _, job = await end_of(await a_site(), lose)
        assert (attempt.status, attempt.failure.reason) == (AttemptStatus.FAILED, "out_of_memory")
        assert job.status is JobStatus.SUCCEEDED

    run_virtually(story())


def test_an_end_that_the_pool_tells_after_the_stream_broke_is_the_programs_failure_too():
    async def story() -> None:
        async def lose(site: Site, worker: MemoryWorker) -> None:
            await worker.kill()
            await asyncio.sleep(0.9 * SETTINGS.end_told_seconds)
            site.pool.remove(worker.id, *KILLED)

        attempt, _, job = await end_of(await a_site(), lose)
        assert (attempt.status, attempt.failure.reason) == (AttemptStatus.FAILED, "out_of_memory")
        assert attempt.failure.message == KILLED[0]
        assert job.status is JobStatus.SUCCEEDED

    run_virtually(story())


def test_a_worker_of_whose_end_the_pool_hears_nothing_has_lost_its_attempt_after_a_while():
    async def story() -> None:
        site = await a_site()
        attempt, seconds, job = await end_of(site, lambda _site, worker: worker.kill())
        assert (attempt.status, attempt.failure.reason) == (AttemptStatus.LOST, "worker_unreachable")
        assert SETTINGS.end_told_seconds <= seconds < SETTINGS.end_told_seconds + 1
        assert site.pool.released == [attempt.worker]
        assert job.status is JobStatus.SUCCEEDED

    run_virtually(story())


def test_workers_that_a_pool_has_not_adopted_when_it_has_started_are_not_waited_for():
    """Those that it has are asked what they do before anything is lost."""

    async def story() -> None:
        site = Site()
        site.make_pool = lambda: adopting(MemoryPool([worker for worker in site.workers if worker.reachable]))
        site.add_workers(2, hang_on("m-00000-0", "m-00001-0"))
        async with site.coordinator(SETTINGS) as engine:
            job = await submit(engine)
            await until(lambda: all(worker.busy_with for worker in site.workers))
        gone, back = site.workers
        await gone.kill()
        began = asyncio.get_running_loop().time()
        async with site.coordinator(SETTINGS) as engine:
            attempts = {task.attempts[0].worker: task.attempts[0] for task in engine.state.jobs[job].maps[:2]}
            await until(lambda: attempts[gone.id].status.ended)
            assert asyncio.get_running_loop().time() - began < 1
            assert attempts[gone.id].failure.message == "the worker ended while the coordinator was away"
            assert attempts[back.id].status is AttemptStatus.RUNNING
            assert engine.state.running(attempts[back.id].id).attempt.worker in engine.state.workers
        await site.close()

    run_virtually(story())


def test_a_pool_that_knows_nothing_of_ends_is_not_waited_for():
    async def story() -> None:
        site = await a_site()
        site.make_pool = lambda: MemoryPool(list(site.workers))
        attempt, seconds, _ = await end_of(site, lambda _site, worker: worker.kill())
        assert attempt.status is AttemptStatus.LOST
        assert seconds < 1

    run_virtually(story())


def test_an_end_that_is_told_too_late_changes_nothing():
    async def story() -> None:
        async def lose(site: Site, worker: MemoryWorker) -> None:
            await worker.kill()
            await asyncio.sleep(SETTINGS.end_told_seconds + 1)
            site.pool.workers[worker.id] = worker
            site.pool.remove(worker.id, *KILLED)

        attempt, _, job = await end_of(await a_site(), lose)
        assert attempt.status is AttemptStatus.LOST
        assert job.status is JobStatus.SUCCEEDED

    run_virtually(story())


def test_closing_does_not_wait_for_what_the_pool_may_tell():
    async def story() -> None:
        site = await a_site()
        async with site.coordinator(SETTINGS) as engine:
            await first_attempt(engine)
            (worker,) = site.workers
            await until(lambda: worker.busy_with)
            await worker.kill()
            await asyncio.sleep(1)
            closing = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - closing < 1
        await site.close()

    run_virtually(story())


class SlowToStart(MemoryPool):
    """Waits for its API server before it can announce anybody."""

    async def start(self, listener: Callable[[PoolEvent], None]) -> None:
        await asyncio.sleep(10 * SETTINGS.limits.reattach_grace_ms / 1000)
        await super().start(listener)


def test_attempts_are_not_lost_while_the_pool_has_not_begun():
    async def story() -> None:
        gate = asyncio.Event()

        async def program(order: AttemptOrder):
            await gate.wait()
            async for report in succeed(order):
                yield report

        site = Site()
        site.add_workers(2, program)
        async with site.coordinator(SETTINGS) as engine:
            job = await submit(engine)
            await until(lambda: all(worker.busy_with for worker in site.workers))
        site.make_pool = lambda: SlowToStart(list(site.workers))
        async with site.coordinator(SETTINGS) as engine:
            gate.set()
            assert (await ended(engine, job)).status is JobStatus.SUCCEEDED
            assert [len(task.attempts) for task in await engine.tasks(job)] == [1, 1, 1, 1]
        await site.close()

    run_virtually(story())
