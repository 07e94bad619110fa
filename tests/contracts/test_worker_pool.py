"""What every WorkerPool promises, tried on each kind of pool."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from apollo_common.errors import WorkerUnreachable
from apollo_common.ids import JobId, WorkerId
from apollo_coordinator.engine import EngineSettings
from apollo_coordinator.order import AttemptDone, AttemptOrder, AttemptProgress, AttemptReport, AttemptStarted
from apollo_coordinator.pools.memory import MemoryPool, MemoryWorker
from apollo_coordinator.pools.static import StaticPool, StaticPoolSettings
from apollo_coordinator.ports import WorkerGone, WorkerPool, WorkerUp
from support.fake_kubelet import FakeKubelet
from support.fake_kubernetes import FakeKubernetes
from support.kubernetes_pools import kubernetes_pool
from support.orders import map_order
from support.pools import QUICK_SUPERVISION, Heard, connect, process_pool, read_state, running

WORKERS = 2
AS_PATIENT = replace(QUICK_SUPERVISION, silence_seconds=EngineSettings().end_told_seconds)


async def in_steps(order: AttemptOrder) -> AsyncIterator[AttemptReport]:
    """What a scripted worker does, in memory."""
    yield AttemptStarted()
    for step in range(3):
        yield AttemptProgress(step, 3, {})
    yield AttemptDone({})


@dataclass(frozen=True)
class Case:
    pool: WorkerPool
    heard: Heard


@pytest.fixture(params=["memory", "process", "static", "kubernetes"])
async def case(request, tmp_path) -> AsyncIterator[Case]:
    """A started pool of two workers."""
    if request.param == "memory":
        workers = [MemoryWorker(f"memory-{number}", in_steps) for number in range(WORKERS)]
        pool = MemoryPool(workers)
        async with running(pool) as heard:
            yield Case(pool, heard)
        for worker in workers:
            await worker.close()
        return
    if request.param == "kubernetes":
        async with FakeKubernetes().serving() as fake, kubernetes_pool(fake, supervision=AS_PATIENT) as pool:
            kubelet = FakeKubelet(fake, tmp_path)
            kubelet.start()
            async with running(pool) as heard:
                await pool.scale(JobId("job"), WORKERS)
                yield Case(pool, heard)
            await kubelet.close()
        return
    local = process_pool(tmp_path, workers=WORKERS, initial_workers=WORKERS)
    async with running(local) as heard:
        if request.param == "process":
            yield Case(local, heard)
            return
        states = [read_state(tmp_path, up.worker) for up in await heard.until(WorkerUp, count=WORKERS)]
        tokens = {state.address: state.token for state in states}
        settings = StaticPoolSettings(tuple(tokens), supervision=QUICK_SUPERVISION)
        static = StaticPool(settings, lambda address, _token: connect(address, tokens[address]))
        async with running(static) as heard_static:
            yield Case(static, heard_static)


async def ups(case: Case, count: int = WORKERS) -> list[WorkerId]:
    return [up.worker for up in await case.heard.until(WorkerUp, count=count)]


async def test_workers_come_up_each_under_a_name_of_its_own(case):
    assert len(set(await ups(case))) == WORKERS


async def test_the_link_of_a_worker_reaches_that_worker(case):
    for worker in await ups(case):
        assert (await case.pool.link(worker).describe()).worker_id == worker


async def test_workers_run_attempts_side_by_side(case):
    first, second = await ups(case)

    async def run(worker: WorkerId, number: int) -> list[object]:
        return [report async for report in case.pool.link(worker).run(map_order("steps:3", number=number))]

    for reports in await asyncio.gather(run(first, 0), run(second, 1)):
        assert isinstance(reports[-1], AttemptDone)


async def test_a_released_worker_is_gone_and_the_others_stay(case):
    released, other = await ups(case)
    await case.pool.release(released, "it had been silent")
    (gone,) = await case.heard.until(WorkerGone)
    assert gone.worker == released
    assert gone.reason.endswith("it had been silent")
    with pytest.raises(WorkerUnreachable):
        case.pool.link(released)
    await case.pool.link(other).describe()


async def test_releasing_twice_or_a_stranger_is_no_error(case):
    released, _ = await ups(case)
    await case.pool.release(released)
    await case.pool.release(released)
    await case.pool.release(WorkerId("nobody"))
    await case.heard.until(WorkerGone)


async def test_scaling_to_what_is_there_changes_nothing(case):
    await ups(case)
    await case.pool.scale(JobId("job"), 1)
    await case.pool.scale(JobId("job"), 0)
    await case.pool.scale(None, WORKERS)
    assert [type(event) for event in case.heard.events] == [WorkerUp] * WORKERS


@pytest.mark.parametrize("case", ["kubernetes"], indirect=True)
async def test_a_pool_that_tells_ends_tells_them_before_silence_would(case):
    """Which here is as long as the engine waits for the pool to tell, and longer on a real node."""
    assert case.pool.tells_ends
    dies, _ = await ups(case)
    with pytest.raises(WorkerUnreachable):
        async for _ in case.pool.link(dies).run(map_order("die")):
            pass
    (gone,) = await case.heard.until(WorkerGone)
    assert gone.worker == dies
    assert "its container worker exited with status 9" in gone.reason


async def test_an_unknown_worker_has_no_link(case):
    with pytest.raises(WorkerUnreachable):
        case.pool.link(WorkerId("nobody"))


async def test_a_closed_pool_says_nothing_more(case):
    await ups(case)
    before = len(case.heard.events)
    await case.pool.close()
    assert len(case.heard.events) == before
