"""What keeps a job from its worker pods, told in words."""

import asyncio

import pytest

from apollo_common.errors import InvalidSetting
from apollo_coordinator.ports import PoolTrouble, WorkerGone, WorkerUp
from support.fake_kubernetes import quota_refusal
from support.kubernetes_pools import kubernetes_pool, worker_manifest
from support.pod_cluster import JOB, trouble
from support.pools import Heard, running


async def test_a_quota_that_refuses_pods_is_told_and_tried_again(cluster):
    cluster.kubelet.start()
    cluster.api.refusals["pods"] = quota_refusal()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 2)
        assert "exceeded quota: small" in await trouble(heard)
        await asyncio.sleep(0.5)
        assert cluster.api.count("POST", "pods") < 12  # with growing pauses
        del cluster.api.refusals["pods"]
        await heard.until(WorkerUp, count=2)


async def test_the_scheduler_is_quoted(cluster):
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        name = await cluster.pod_without_node()
        words = "0/1 nodes are available: 1 Insufficient memory."
        unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
        cluster.api.set_status(name, conditions=[unscheduled])
        assert await trouble(heard) == f"worker pod {name}: no node takes it: {words}"


async def test_what_a_pod_waits_for_is_told_again_when_the_last_worker_has_gone(cluster):
    """The engine does not listen to troubles of a job that has workers."""
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        cluster.kubelet.cordoned = True
        await pool.scale(JOB, 2)
        await cluster.until(lambda: len(cluster.pods) == 2)
        (waiting,) = cluster.pods.keys() - {up.worker}
        words = "0/1 nodes are available: 1 node(s) were unschedulable."
        unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
        cluster.api.set_status(waiting, conditions=[unscheduled])
        told = PoolTrouble(JOB, f"worker pod {waiting}: no node takes it: {words}")
        await heard.until(PoolTrouble)
        await pool.release(up.worker)
        await heard.until(PoolTrouble, count=2)
        assert [event for event in heard.events if isinstance(event, WorkerGone | PoolTrouble)] == [
            told,
            WorkerGone(up.worker, f"worker pod {up.worker}: it was released"),
            told,
        ]


async def test_a_volume_that_is_not_mounted_is_found_in_the_events(cluster):
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        name = await cluster.pod_without_node()
        about = {"involvedObject": {"name": name}}
        for number in range(99):  # that say nothing, and come first
            cluster.api.put("events", about | {"metadata": {"name": f"{name}.{number:02}"}, "reason": "Pulling"})
        event = about | {"metadata": {"name": f"{name}.99"}, "reason": "FailedMount"}
        cluster.api.put("events", event | {"message": "no such volume"})
        assert await trouble(heard) == f"worker pod {name}: a volume is not mounted (FailedMount): no such volume"


async def test_a_pod_that_ends_before_it_worked_is_told_and_replaced_with_pauses(cluster):
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        name = await cluster.pod_without_node()
        cluster.api.set_status(name, phase="Failed", reason="OutOfcpu", message="Node didn't have enough resource")
        assert await trouble(heard) == f"worker pod {name}: OutOfcpu: Node didn't have enough resource"
        await cluster.until(lambda: cluster.pods and name not in cluster.pods)


@pytest.mark.parametrize(("modes", "single_node", "fits"), [
    (["ReadWriteMany"], False, True), (["ReadWriteOnce"], True, True), (["ReadWriteOnce"], False, False),
])  # fmt: skip
async def test_a_claim_that_workers_cannot_share_is_refused_at_the_start(cluster, modes, single_node, fits):
    claim = {"metadata": {"name": "intermediate"}, "spec": {"accessModes": modes}}
    cluster.api.put("persistentvolumeclaims", claim)
    volumes = [{"name": "intermediate", "persistentVolumeClaim": {"claimName": "intermediate"}}]
    manifest = worker_manifest(volumes=volumes)
    async with kubernetes_pool(cluster.api, manifest=manifest, single_node=single_node) as pool:
        if fits:
            await pool.start(Heard())
        else:
            with pytest.raises(InvalidSetting, match="ReadWriteOnce: workers on several nodes cannot share it"):
                await pool.start(Heard())
        await pool.close()
