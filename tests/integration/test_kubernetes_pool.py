"""The Kubernetes pool over a fake API server whose pods are real worker processes."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from apollo_common.errors import InvalidSetting, WorkerDrained
from apollo_common.ids import JobId, WorkerId
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.order import AttemptCancelled, AttemptDone, AttemptStarted
from apollo_coordinator.pools.kubernetes import pool as module
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.ownership import ClusterSecrets, JobOwnership
from apollo_coordinator.ports import JobSecrets, PoolTrouble, WorkerDraining, WorkerGone, WorkerUp
from support.fake_kubelet import FakeKubelet
from support.fake_kubernetes import FakeKubernetes, quota_refusal
from support.kubernetes_pools import kubernetes_pool, reach, worker_manifest
from support.orders import map_order
from support.pools import PATIENCE_SECONDS, Heard, running

JOB = JobId("job1")


@dataclass
class Cluster:
    api: FakeKubernetes
    kubelet: FakeKubelet

    @property
    def pods(self) -> dict[str, dict]:
        return self.api.objects.setdefault("pods", {})

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                await asyncio.sleep(0.02)

    async def pod_without_node(self) -> str:
        """The name of a first pod that nothing runs."""
        await self.until(lambda: self.pods)
        return next(iter(self.pods))


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with FakeKubernetes().serving() as api:
        kubelet = FakeKubelet(api, tmp_path)
        yield Cluster(api, kubelet)
        await kubelet.close()


async def trouble(heard: Heard) -> str:
    (event,) = await heard.until(PoolTrouble)
    assert event.job == JOB
    return event.message


# Pods come and go


async def test_a_worker_is_bound_to_its_job_and_known_by_its_pod(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        assert (up.job, up.pod_name, str(up.worker)) == (JOB, *[next(iter(cluster.pods))] * 2)


async def test_everything_of_a_job_belongs_to_the_coordinators_stateful_set(cluster):
    root = cluster.api.put("statefulsets", {"metadata": {"name": "apollo-coordinator"}})
    async with kubernetes_pool(cluster.api, stateful_set="apollo-coordinator") as pool, running(pool):
        await pool.scale(JOB, 2)
        await cluster.until(lambda: len(cluster.pods) == 2)
    (config_map,) = cluster.api.objects["configmaps"].values()
    (secret,) = cluster.api.objects["secrets"].values()
    assert config_map["metadata"]["ownerReferences"][0]["uid"] == root["metadata"]["uid"]
    for owned in (secret, *cluster.pods.values()):
        assert owned["metadata"]["ownerReferences"][0]["uid"] == config_map["metadata"]["uid"]
    cluster.api.remove("statefulsets", "apollo-coordinator")
    assert not any(cluster.api.objects[kind] for kind in ("pods", "secrets", "configmaps"))


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


async def test_pods_that_have_not_started_go_as_soon_as_they_are_not_needed(cluster):
    async with kubernetes_pool(cluster.api) as pool, running(pool):
        await pool.scale(JOB, 3)
        await cluster.until(lambda: len(cluster.pods) == 3)
        await pool.scale(JOB, 1)
        await cluster.until(lambda: len(cluster.pods) == 1)


async def test_there_are_never_more_pods_than_the_operator_allows(cluster):
    async with kubernetes_pool(cluster.api, max_pods=2) as pool, running(pool):
        await pool.scale(JOB, 5)
        await pool.scale(JobId("other"), 5)
        await cluster.until(lambda: len(cluster.pods) == 2)
        await asyncio.sleep(0.3)
        assert len(cluster.pods) == 2


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


async def test_the_next_coordinator_meets_a_worker_that_drains(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        cluster.api.pod_deleted = lambda _pod: None
        cluster.api.delete("pods", up.worker)
        await heard.until(WorkerDraining)
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        (draining,) = await heard.until(WorkerDraining)
        assert [type(event) for event in heard.events] == [WorkerUp, WorkerDraining]
        assert draining.worker == up.worker


async def test_a_call_per_change_and_no_polling(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 2)
        await heard.until(WorkerUp, count=2)
        await asyncio.sleep(0.5)
        calls = [(method, plural) for method, plural, _ in cluster.api.requests]
        assert sorted(calls) == sorted(
            [("GET", "pods")] * 2  # a list, a watch
            + [("POST", "configmaps"), ("POST", "secrets"), ("POST", "pods"), ("POST", "pods")]
        )


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


# A coordinator that starts again


async def test_the_next_coordinator_takes_up_what_runs(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (before,) = await heard.until(WorkerUp)
        attempt = pool.link(before.worker).run(map_order("steps:20"))
        await anext(attempt)
        await attempt.aclose()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        (after,) = await heard.until(WorkerUp)
        assert after == before
        reports = [report async for report in pool.link(after.worker).attach(map_order("").attempt_id)]
        assert isinstance(reports[-1], AttemptDone)
        assert len(cluster.pods) == 1


async def test_a_pod_of_a_job_that_is_over_is_deleted(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        await heard.until(WorkerUp)
    del cluster.api.objects["secrets"][Names().job_object(JOB)]
    async with kubernetes_pool(cluster.api) as pool, running(pool):
        await cluster.until(lambda: not cluster.pods)
    assert cluster.api.count("POST", "configmaps") == 1


async def test_a_later_coordinator_reads_a_jobs_keys_once(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 3)
        await heard.until(WorkerUp, count=3)
    assert cluster.api.count("GET", "secrets") == 0
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await heard.until(WorkerUp, count=3)
    assert cluster.api.count("GET", "secrets") == 1


async def test_keys_that_cannot_be_used_are_told(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        await heard.until(WorkerUp)
    cluster.api.objects["secrets"][Names().job_object(JOB)]["data"] = {}
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        assert "Secret apollo-job-job1: these keys cannot be used" in await trouble(heard)


async def test_the_coordinators_keys_are_in_no_pod(cluster):
    async with kubernetes_pool(cluster.api) as pool, running(pool):
        await pool.scale(JOB, 1)
        await cluster.pod_without_node()
        pods = json.dumps(cluster.api.objects["pods"])
        secret = cluster.api.objects["secrets"][Names().job_object(JOB)]
        assert set(secret["data"]) == {"ca.crt", "worker.crt", "worker.key", "coordinator.crt", "coordinator.key"}
        assert "coordinator" not in json.dumps(cluster.api.objects["pods"]).replace("apollo-coordinator", "")
        assert not [value for value in secret["data"].values() if value in pods]


# What stands in the way, in words


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
        event = {"metadata": {"name": "e"}, "involvedObject": {"name": name}, "reason": "FailedMount"}
        cluster.api.put("events", event | {"message": "no such volume"})
        assert await trouble(heard) == f"worker pod {name}: a volume is not mounted (FailedMount): no such volume"


async def test_a_pod_that_ends_before_it_worked_is_told_and_replaced_with_pauses(cluster):
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        name = await cluster.pod_without_node()
        cluster.api.set_status(name, phase="Failed", reason="OutOfcpu", message="Node didn't have enough resource")
        assert await trouble(heard) == f"worker pod {name}: OutOfcpu: Node didn't have enough resource"
        await cluster.until(lambda: cluster.pods and name not in cluster.pods)


ENDED_BY_ITS_NODE = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": "The node was low on resource: memory.",
    "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}],
}


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
        await asyncio.sleep(1.5)
        assert 2 <= cluster.api.count("POST", "pods") < 10
        cluster.api.pod_created = lambda _name: None
        await cluster.until(lambda: cluster.pods)


async def test_a_pod_that_has_ended_takes_no_room(cluster):
    async with kubernetes_pool(cluster.api, max_pods=1) as pool, running(pool):
        await pool.scale(JOB, 1)
        name = await cluster.pod_without_node()
        cluster.api.held = ("DELETE", "pods")
        cluster.api.set_status(name, **ENDED_BY_ITS_NODE)
        await cluster.until(lambda: len(cluster.pods) == 2)


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


# Credentials


async def test_a_jobs_credentials_live_in_a_secret_and_go_with_the_job(cluster):
    api, names = reach(cluster.api), Names()
    secrets = ClusterSecrets(api, names, JobOwnership(api, names))
    access = StorageAccess(access_key_id="id", secret_access_key="very secret")
    await secrets.put(JOB, JobSecrets(access, StorageAccess()))
    later = ClusterSecrets(api, names, JobOwnership(api, names))
    found = await later.get(JOB)
    assert found is not None
    assert found.input_access == access
    assert await later.get(JobId("other")) is None
    assert "very secret" not in json.dumps(cluster.api.objects["configmaps"])
    await later.delete(JOB)
    assert not cluster.api.objects["secrets"]
    await later.delete(JOB)
    await api.close()


async def test_what_belongs_to_no_known_job_is_swept(cluster):
    api, names = reach(cluster.api), Names()
    ownership = JobOwnership(api, names)
    for job in ("known", "unknown"):
        await ownership.ensure(JobId(job))
    assert await ClusterSecrets(api, names, ownership).sweep(frozenset({JobId("known")})) == 1
    assert list(cluster.api.objects["configmaps"]) == [names.job_object(JobId("known"))]
    assert list(cluster.api.objects["secrets"]) == [names.job_object(JobId("known"))]
    await api.close()


def test_a_worker_id_is_a_valid_pod_name():
    assert WorkerId(Names().pod(JOB, "0a1b2c3d")) == "apollo-worker-job1-0a1b2c3d"


# What users and monitoring rely on


async def test_pods_are_labelled_for_people_policies_and_the_coordinator(cluster):
    async with kubernetes_pool(cluster.api) as pool, running(pool):
        await pool.scale(JOB, 1)
        name = await cluster.pod_without_node()
        assert cluster.pods[name]["metadata"]["labels"] == {
            "app.kubernetes.io/name": "apollo",
            "app.kubernetes.io/instance": "apollo",
            "app.kubernetes.io/component": "worker",
            "app.kubernetes.io/managed-by": "apollo-coordinator",
            "apollo.io/job": JOB,
        }


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
