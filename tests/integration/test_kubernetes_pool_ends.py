"""How worker pods end: killed, evicted, out of memory, deleted by others. They are real worker processes."""

import asyncio
import signal

import pytest

from apollo_common.errors import WorkerDrained
from apollo_coordinator.order import AttemptCancelled, AttemptDone
from apollo_coordinator.pools.kubernetes import pool as module
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.ports import PoolTrouble, WorkerDraining, WorkerGone, WorkerUp
from support.kubernetes_pools import kubernetes_pool, worker_manifest
from support.orders import map_order
from support.pod_cluster import ENDED_BY_ITS_NODE, JOB, trouble
from support.pools import running


async def test_a_killed_worker_is_replaced_by_another_pod(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (first,) = await heard.until(WorkerUp)
        cluster.kubelet.process(first.worker).send_signal(signal.SIGKILL)
        (gone,) = await heard.until(WorkerGone)
        assert gone.reason == f"worker pod {first.worker}: its container worker was killed by signal 9"
        _, second = await heard.until(WorkerUp, count=2)
        await cluster.until(lambda: list(cluster.pods) == [second.worker])


async def test_the_end_of_a_worker_that_ran_out_of_memory_is_told_as_that(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        killed = [{"name": "worker", "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]
        cluster.api.set_status(up.worker, phase="Failed", containerStatuses=killed)
        (gone,) = await heard.until(WorkerGone)
        assert gone.fault == "out_of_memory"
        assert gone.reason == f"worker pod {up.worker}: its container worker was OOMKilled: limit 512.0 MiB"


async def test_the_end_of_a_worker_whose_program_filled_its_disk_is_told_as_that(cluster):
    """The kubelet sends SIGTERM, a second later SIGKILL, and tells why once the container has ended."""
    mounted = worker_manifest(volumes=[{"name": "work", "emptyDir": {"sizeLimit": "1Gi"}}])
    mounted["spec"]["containers"][0]["volumeMounts"] = [{"name": "work", "mountPath": "/work"}]
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api, manifest=mounted) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        killed = [{"name": "worker", "state": {"terminated": {"reason": "Error", "exitCode": 137}}}]
        message = 'Usage of EmptyDir volume "work" exceeds the limit "1Gi". '
        cluster.api.set_status(up.worker, phase="Failed", reason="Evicted", message=message, containerStatuses=killed)
        (gone,) = await heard.until(WorkerGone)
        assert gone.fault == "scratch_exceeded"
        assert 'EmptyDir volume "work" exceeds the limit "1Gi".' in gone.reason
        _, second = await heard.until(WorkerUp, count=2)
        await cluster.until(lambda: list(cluster.pods) == [second.worker])


EVICTED = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}


async def test_an_evicted_worker_drains_and_another_pod_comes_at_once(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        cluster.api.pod_deleted = lambda _pod: None  # its grace lasts
        attempt = pool.link(up.worker).run(map_order("steps:10"))
        await anext(attempt)
        cluster.api.set_status(up.worker, conditions=[EVICTED])
        cluster.api.delete("pods", up.worker)
        (draining,) = await heard.until(WorkerDraining)
        assert draining.worker == up.worker
        assert "it was evicted" in draining.reason
        await heard.until(WorkerUp, count=2)
        assert isinstance([report async for report in attempt][-1], AttemptDone)
        await pool.release(up.worker)
        (gone,) = await heard.until(WorkerGone)
        assert "it was evicted" in gone.reason
        await asyncio.sleep(0.5)
        assert [event.worker for event in heard.events if isinstance(event, WorkerUp)].count(up.worker) == 1


async def test_a_worker_that_is_terminated_finishes_its_attempt_or_hands_it_back(cluster):
    cluster.kubelet.start()
    manifest = worker_manifest(terminationGracePeriodSeconds=13)  # three seconds of it are for the attempt
    async with kubernetes_pool(cluster.api, manifest=manifest) as pool, running(pool) as heard:
        await pool.scale(JOB, 2)
        first, second = await heard.until(WorkerUp, count=2)
        short = pool.link(first.worker).run(map_order("steps:10", number=0))
        endless = pool.link(second.worker).run(map_order("hang", number=1))
        for attempt in (short, endless):
            await anext(attempt)
        for up in (first, second):
            cluster.api.delete("pods", up.worker)
        assert isinstance([report async for report in short][-1], AttemptDone)
        assert (await pool.link(second.worker).describe()).draining
        with pytest.raises(WorkerDrained, match="told to end"):
            await anext(pool.link(second.worker).run(map_order("succeed", number=2)))
        assert [report async for report in endless][-1] == AttemptCancelled(handed_back=True)
        await heard.until(WorkerGone, count=2)


async def test_a_pod_that_its_node_ended_before_it_worked_is_told_deleted_and_replaced(cluster):
    """Nobody else deletes it: the node only ends it."""
    async with kubernetes_pool(cluster.api, max_pods=1) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        name = await cluster.pod_without_node()
        cluster.api.set_status(name, **ENDED_BY_ITS_NODE)
        assert "The node was low on resource: memory." in await trouble(heard)
        await cluster.until(lambda: cluster.pods and name not in cluster.pods)


async def test_a_worker_whose_node_ended_it_is_deleted_and_replaced(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api, max_pods=1) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        cluster.api.set_status(up.worker, **ENDED_BY_ITS_NODE)
        _, second = await heard.until(WorkerUp, count=2)
        await cluster.until(lambda: list(cluster.pods) == [second.worker])


async def test_a_pod_that_is_gone_is_not_deleted_again(cluster, monkeypatch):
    monkeypatch.setattr(module, "_DELETE_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(module, "_PASS_SECONDS", 0.05)
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 2)
        released, _ = await heard.until(WorkerUp, count=2)
        await pool.release(released.worker)
        await cluster.until(lambda: released.worker not in cluster.pods)
        await pool.scale(JOB, 0)
        cluster.api.pod_deleted = lambda pod: cluster.api.remove("pods", pod["metadata"]["name"])  # without a grace
        cluster.api.delete("configmaps", Names().job_object(JOB))
        await heard.until(WorkerGone, count=2)
        await cluster.until(lambda: not cluster.pods)
        deletions = cluster.api.count("DELETE", "pods")
        await asyncio.sleep(0.5)
        assert cluster.api.count("DELETE", "pods") == deletions


async def test_a_pod_that_terminates_already_is_not_deleted_again(cluster, monkeypatch):
    monkeypatch.setattr(module, "_DELETE_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(module, "_PASS_SECONDS", 0.05)
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        await pool.scale(JOB, 0)
        cluster.api.pod_deleted = lambda _pod: None  # its node is lost
        await pool.release(up.worker)
        await cluster.until(lambda: pool.reflector.items[up.worker].deleting)
        await asyncio.sleep(0.5)
        assert cluster.api.count("DELETE", "pods") == 1


async def test_a_job_whose_config_map_somebody_deletes_gets_another_and_workers_again(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (first,) = await heard.until(WorkerUp)
        cluster.api.delete("configmaps", Names().job_object(JOB))
        assert "it was deleted before its worker was met" in await trouble(heard)
        _, second = await heard.until(WorkerUp, count=2)
        await cluster.until(lambda: list(cluster.pods) == [second.worker])
        assert second.worker != first.worker
        assert cluster.api.count("POST", "configmaps") == 2


async def test_pods_that_others_delete_are_made_again_with_growing_pauses(cluster):
    cluster.api.pod_created = lambda name: cluster.api.delete("pods", name)
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        await heard.until(PoolTrouble)
        await cluster.until(lambda: cluster.api.count("POST", "pods") >= 2)
        await asyncio.sleep(1.5)  # a try every 50 ms would be 30
        assert cluster.api.count("POST", "pods") < 15
        cluster.api.pod_created = lambda _name: None
        await cluster.until(lambda: cluster.pods)
