"""How many pods a job gets from the Kubernetes pool, and which ones go. The pods are real worker processes."""

import asyncio
from dataclasses import replace

from apollo_common.ids import JobId
from apollo_coordinator.order import AttemptDone, AttemptStarted
from apollo_coordinator.ports import WorkerDraining, WorkerGone, WorkerUp
from support.kubernetes_pools import QUICK_REFLECTOR, kubernetes_pool
from support.orders import map_order
from support.pod_cluster import ENDED_BY_ITS_NODE, JOB
from support.pools import running


async def test_pods_follow_the_work_up_and_down(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api, keep_idle_seconds=0.1) as pool, running(pool) as heard:
        for wanted in (1, 3):
            await pool.scale(JOB, wanted)
            await heard.until(WorkerUp, count=wanted)
        await pool.scale(JOB, 1)
        for draining in await heard.until(WorkerDraining, count=2):
            await pool.release(draining.worker)
        await cluster.until(lambda: len(cluster.pods) == 1)


async def test_a_jobs_pods_are_reused_from_its_maps_to_its_reduces(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 3)
        await heard.until(WorkerUp, count=3)
        for wanted in (2, 1, 3):  # the last maps, then the reduces
            await pool.scale(JOB, wanted)
            await asyncio.sleep(0.2)
        assert cluster.api.count("POST", "pods") == 3
        assert [type(event) for event in heard.events] == [WorkerUp] * 3


async def test_an_idle_worker_is_let_go_and_one_at_work_is_not(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api, keep_idle_seconds=0.3) as pool, running(pool) as heard:
        await pool.scale(JOB, 2)
        first, second = (up.worker for up in await heard.until(WorkerUp, count=2))
        busy = pool.link(first).run(map_order("hang"))
        assert isinstance(await anext(busy), AttemptStarted)
        await pool.scale(JOB, 0)
        (draining,) = await heard.until(WorkerDraining)
        assert draining == WorkerDraining(second, "its job has no work for it")
        await pool.release(second)  # as the engine does unless it has just given out an attempt
        (gone,) = await heard.until(WorkerGone)
        assert gone == WorkerGone(second, f"worker pod {second}: its job has no work for it")
        await cluster.until(lambda: list(cluster.pods) == [first])
        await busy.aclose()
        await heard.until(WorkerDraining, count=2)


async def test_a_pod_is_not_deleted_while_the_engine_has_not_released_its_worker(cluster):
    """An attempt may be on its way to a worker that looks idle here."""
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api, keep_idle_seconds=0.1) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        await pool.scale(JOB, 0)
        await heard.until(WorkerDraining)
        reports = [report async for report in pool.link(up.worker).run(map_order("steps:10"))]
        assert isinstance(reports[-1], AttemptDone)
        assert list(cluster.pods) == [up.worker]
        await pool.release(up.worker)
        await cluster.until(lambda: not cluster.pods)


async def test_pods_that_have_not_started_go_as_soon_as_they_are_not_needed(cluster):
    async with kubernetes_pool(cluster.api) as pool, running(pool):
        await pool.scale(JOB, 3)
        await cluster.until(lambda: len(cluster.pods) == 3)
        await pool.scale(JOB, 1)
        await cluster.until(lambda: len(cluster.pods) == 1)


async def test_pods_are_shared_fairly_when_there_are_too_few(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api, max_pods=4) as pool, running(pool) as heard:
        await pool.scale(JOB, 9)
        await heard.until(WorkerUp, count=4)
        await pool.scale(JobId("other"), 9)
        for draining in await heard.until(WorkerDraining, count=2):
            await pool.release(draining.worker)
        ups = await heard.until(WorkerUp, count=6)
        assert [up.job for up in ups[4:]] == ["other", "other"]
        await asyncio.sleep(0.3)
        assert len(cluster.pods) == 4


async def test_there_are_never_more_pods_than_the_operator_allows(cluster):
    async with kubernetes_pool(cluster.api, max_pods=2) as pool, running(pool):
        await pool.scale(JOB, 5)
        await pool.scale(JobId("other"), 5)
        await cluster.until(lambda: len(cluster.pods) == 2)
        await asyncio.sleep(0.3)
        assert len(cluster.pods) == 2


async def test_a_pod_that_has_ended_takes_no_room(cluster):
    async with kubernetes_pool(cluster.api, max_pods=1) as pool, running(pool):
        await pool.scale(JOB, 1)
        name = await cluster.pod_without_node()
        cluster.api.held = ("DELETE", "pods")
        cluster.api.set_status(name, **ENDED_BY_ITS_NODE)
        await cluster.until(lambda: len(cluster.pods) == 2)


async def test_a_call_per_change_and_no_polling(cluster):
    cluster.kubelet.start()
    lasting = replace(QUICK_REFLECTOR, watch_seconds=(300, 600))
    async with kubernetes_pool(cluster.api, reflector=lasting) as pool, running(pool) as heard:
        await pool.scale(JOB, 2)
        await heard.until(WorkerUp, count=2)
        await asyncio.sleep(0.5)
        calls = [(method, plural) for method, plural, _ in cluster.api.requests]
        assert sorted(calls) == sorted(
            [("GET", "pods")] * 2  # a list, a watch
            + [("POST", "configmaps"), ("POST", "secrets"), ("POST", "pods"), ("POST", "pods")]
        )
