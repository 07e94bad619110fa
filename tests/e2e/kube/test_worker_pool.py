"""What every WorkerPool promises, and what Kubernetes adds, with pods on a real node."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apollo_common.errors import WorkerUnreachable
from apollo_common.ids import JobId
from apollo_coordinator.core.pod_overrides import PodOverrides, Toleration
from apollo_coordinator.order import AttemptCancelled, AttemptDone
from apollo_coordinator.pools.kubernetes.api import KubernetesApi
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.ownership import JobOwnership
from apollo_coordinator.pools.kubernetes.pool import KubernetesPool
from apollo_coordinator.pools.kubernetes.settings import KubernetesPoolSettings
from apollo_coordinator.pools.kubernetes.template import PodTemplate
from apollo_coordinator.ports import PoolTrouble, WorkerDraining, WorkerGone, WorkerUp
from contracts.test_worker_pool import *  # noqa: F403 - the same suite on another pool
from contracts.test_worker_pool import WORKERS, Case
from support.cluster.namespaces import Namespace, restricted_worker
from support.coordinator_process import wait_for
from support.orders import map_order
from support.pools import QUICK_SUPERVISION, Heard, connect, running

pytestmark = pytest.mark.timeout(300)

JOB = JobId("job1")
SCRIPT = "scripted-worker"
PATIENT = replace(QUICK_SUPERVISION, silence_seconds=30.0)  # a busy node says late how a pod ended
SCRIPTED = {
    "command": ["/opt/apollo/bin/python", "-m", "scripted_worker", "apollo-worker"],
    "env": [{"name": "PYTHONPATH", "value": "/script"}],
}


def scripted_pod(**container: Any) -> dict[str, Any]:
    """The worker's image, with attempts that follow a script."""
    pod = restricted_worker(**(SCRIPTED | container))
    pod["spec"]["volumes"].append({"name": "script", "configMap": {"name": SCRIPT}})
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "script", "mountPath": "/script"})
    return pod


@asynccontextmanager
async def cluster_pool(
    namespace: Namespace, pod: dict[str, Any], *, beside: dict[str, str] | None = None
) -> AsyncIterator[tuple[KubernetesPool, Heard]]:
    content = (Path(__file__).parents[2] / "support" / "scripted_worker.py").read_text()
    script = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SCRIPT}}
    namespace.apply(script | {"data": {"scripted_worker.py": content}})
    api = await KubernetesApi.connect(namespace.name, namespace.cluster.state.kubeconfig)
    names = Names()
    settings = KubernetesPoolSettings(supervision=PATIENT, keep_idle_seconds=2.0, slow_start_seconds=3.0)
    pool = KubernetesPool(api, names, PodTemplate(pod, beside=beside), JobOwnership(api, names), connect, settings)
    try:
        async with running(pool) as heard:
            yield pool, heard
    finally:
        await api.close()


@pytest.fixture
async def case(namespace) -> AsyncIterator[Case]:
    async with cluster_pool(namespace, scripted_pod()) as (pool, heard):
        await pool.scale(JobId("job"), WORKERS)
        yield Case(pool, heard)


async def trouble(heard: Heard, words: str) -> PoolTrouble:
    """The first trouble that holds these words; others may come before, as while a volume is made."""
    for count in range(1, 20):
        found = (await heard.until(PoolTrouble, count=count))[-1]
        if words in found.message:
            return found
    raise AssertionError(f"none says {words!r}")


async def test_idle_pods_go_and_with_the_config_map_goes_everything(namespace):
    async with cluster_pool(namespace, scripted_pod()) as (pool, heard):
        await pool.scale(JOB, 1)
        await heard.until(WorkerUp)
        await pool.scale(JOB, 0)
        (draining,) = await heard.until(WorkerDraining)
        await pool.release(draining.worker)
        (gone,) = await heard.until(WorkerGone)
        assert "its job has no work for it" in gone.reason
        await pool.scale(JOB, 1)
        await heard.until(WorkerUp, count=2)
        job_object = Names().job_object(JOB)
        owners = {
            found["metadata"]["uid"] for found in namespace.get("configmaps") if found["metadata"]["name"] == job_object
        }
        assert owned(namespace, owners)
        namespace.kubectl("delete", "configmap", job_object)
        gone = (await heard.until(WorkerGone, count=2))[-1]
        assert "it was deleted" in gone.reason
        # The cluster collects what the ConfigMap owned one after the other; the job, which goes on, gets another.
        await asyncio.to_thread(wait_for, lambda: not owned(namespace, owners), "what the ConfigMap owned to go")


def owned(namespace: Namespace, owners: set[str]) -> list[str]:
    """Secrets and pods that one of these owns, by its uid."""
    return [
        found["metadata"]["name"]
        for found in namespace.get("secrets") + namespace.get("pods")
        if owners & {owner["uid"] for owner in found["metadata"].get("ownerReferences", ())}
    ]


def evict(namespace: Namespace, pod: str) -> None:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}/eviction"
    namespace.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


async def test_an_eviction_is_told_in_words(namespace):
    async with cluster_pool(namespace, scripted_pod()) as (pool, heard):
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        evict(namespace, up.pod_name)
        (draining,) = await heard.until(WorkerDraining)
        assert "it was evicted, as when its node node1 is drained" in draining.reason
        (gone,) = await heard.until(WorkerGone)
        assert "it was evicted, as when its node node1 is drained" in gone.reason
        await heard.until(WorkerUp, count=2)


async def test_an_evicted_worker_finishes_its_attempt_or_hands_it_back(namespace):
    pod = scripted_pod()
    pod["spec"]["terminationGracePeriodSeconds"] = 16  # six seconds of it are for the attempt
    async with cluster_pool(namespace, pod) as (pool, heard):
        await pool.scale(JOB, 2)
        first, second = await heard.until(WorkerUp, count=2)
        short = pool.link(first.worker).run(map_order("steps:60", number=0))
        endless = pool.link(second.worker).run(map_order("hang", number=1))
        for attempt in (short, endless):
            await anext(attempt)
        for up in (first, second):
            evict(namespace, up.pod_name)
        assert isinstance([report async for report in short][-1], AttemptDone)
        assert [report async for report in endless][-1] == AttemptCancelled(handed_back=True)
        await heard.until(WorkerGone, count=2)


async def test_a_jobs_wishes_reach_its_pods(namespace):
    asked = PodOverrides(
        requests={"cpu": "10m"},
        limits={"memory": "200Mi"},
        node_selector={"kubernetes.io/os": "linux"},
        tolerations=(Toleration("spot", "Exists", effect="NoSchedule"),),
        labels={"example.com/team": "data"},
    )
    async with cluster_pool(namespace, scripted_pod()) as (pool, heard):
        await pool.scale(JOB, 1, asked)
        (up,) = await heard.until(WorkerUp)
        assert (await pool.link(up.worker).describe()).memory_limit_bytes == 200 << 20
        (pod,) = namespace.get("pods")
        assert pod["metadata"]["labels"]["example.com/team"] == "data"
        assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
        resources = pod["spec"]["containers"][0]["resources"]
        assert resources == {"requests": {"cpu": "10m", "memory": "200Mi"}, "limits": {"memory": "200Mi"}}


async def test_an_account_that_is_not_there_is_quoted(namespace):
    async with cluster_pool(namespace, scripted_pod()) as (pool, heard):
        await pool.scale(JOB, 1, PodOverrides(service_account_name="nobody"))
        assert "no worker pod can be created" in (await trouble(heard, 'serviceaccount "nobody" not found')).message


async def test_workers_that_have_to_share_a_node_are_scheduled_also_the_first(namespace):
    async with cluster_pool(namespace, scripted_pod(), beside=Names().pods_of("worker")) as (pool, heard):
        await pool.scale(JOB, 2)
        await heard.until(WorkerUp, count=2)
        assert len({pod["spec"]["nodeName"] for pod in namespace.get("pods")}) == 1


async def test_workers_wait_for_the_coordinator_whose_node_they_have_to_share(namespace):
    async with cluster_pool(namespace, scripted_pod(), beside=Names().pods_of("coordinator")) as (pool, heard):
        await pool.scale(JOB, 1)
        assert "pod affinity rules" in (await trouble(heard, "no node takes it")).message


async def test_an_out_of_memory_kill_is_told_with_the_limit_and_the_last_peak(namespace):
    pod = scripted_pod(resources={"limits": {"memory": "192Mi"}})
    async with cluster_pool(namespace, pod) as (pool, heard):
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        reports = pool.link(up.worker).run(map_order("eat"))
        with pytest.raises(WorkerUnreachable):
            async for _ in reports:
                pass
        (gone,) = await heard.until(WorkerGone)
        assert gone.fault == "out_of_memory"
        told = re.search(r"was OOMKilled: limit 192.0 MiB, last seen peak ([0-9.]+) MiB", gone.reason)
        assert told, gone.reason
        assert 96 < float(told[1]) <= 192


async def test_an_eviction_for_what_was_written_is_told_as_the_programs_fault(namespace):
    pod = scripted_pod()
    pod["spec"]["terminationGracePeriodSeconds"] = 60  # the kubelet gives an eviction of this kind one second
    pod["spec"]["volumes"].append({"name": "work", "emptyDir": {"sizeLimit": "8Mi"}})
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "work", "mountPath": "/work"})
    async with cluster_pool(namespace, pod) as (pool, heard):
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        reports = pool.link(up.worker).run(map_order("hang"))
        await anext(reports)
        namespace.kubectl("exec", up.pod_name, "--", "dd", "if=/dev/zero", "of=/work/big", "bs=1M", "count=32")
        with pytest.raises(WorkerUnreachable):  # some 20 s later: the kubelet looks every 10 s
            async for _ in reports:
                pass
        (gone,) = await heard.until(WorkerGone)
        assert gone.fault == "scratch_exceeded"
        assert 'it was evicted from its node node1: Usage of EmptyDir volume "work" exceeds the limit' in gone.reason


async def test_a_worker_over_its_memory_limit_is_told_with_the_limit(namespace):
    hungry = "import os, time\nprint('eats', flush=True)\nb = bytearray(os.urandom(1)) * (1 << 30)\ntime.sleep(60)"
    command = ["/opt/apollo/bin/python", "-c", hungry]
    pod = scripted_pod(command=command, resources={"limits": {"memory": "64Mi"}})
    async with cluster_pool(namespace, pod) as (pool, heard):
        await pool.scale(JOB, 1)
        told = await trouble(heard, "OOMKilled")
        assert told.job == JOB
        assert "was OOMKilled: limit 64.0 MiB" in told.message


async def test_an_unschedulable_pod_quotes_the_scheduler(namespace):
    pod = scripted_pod(resources={"requests": {"memory": "900Ti"}, "limits": {"memory": "900Ti"}})
    async with cluster_pool(namespace, pod) as (pool, heard):
        await pool.scale(JOB, 1)
        assert (
            "no node takes it: 0/1 nodes are available: 1 Insufficient memory"
            in (await trouble(heard, "Insufficient memory")).message
        )


async def test_an_image_that_is_not_there_is_named(namespace):
    async with cluster_pool(namespace, scripted_pod(image="apollo-worker:nowhere")) as (pool, heard):
        await pool.scale(JOB, 1)
        assert "its image apollo-worker:nowhere cannot be had" in (await trouble(heard, "nowhere")).message


async def test_a_quota_that_refuses_is_quoted(namespace):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "0"}},
    }
    namespace.apply(quota)
    async with cluster_pool(namespace, scripted_pod()) as (pool, heard):
        await pool.scale(JOB, 1)
        assert "no worker pod can be created" in (await trouble(heard, "exceeded quota: small")).message
        namespace.kubectl("delete", "resourcequota", "small")
        await heard.until(WorkerUp)


async def test_a_volume_that_is_not_there_is_named(namespace):
    pod = scripted_pod()
    pod["spec"]["volumes"].append({"name": "gone", "configMap": {"name": "no-such-map"}})
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "gone", "mountPath": "/gone"})
    async with cluster_pool(namespace, pod) as (pool, heard):
        await pool.scale(JOB, 1)
        assert "a volume is not mounted (FailedMount)" in (await trouble(heard, "no-such-map")).message


async def test_pod_security_that_refuses_is_quoted(namespace):
    pod = scripted_pod(securityContext={"privileged": True})
    async with cluster_pool(namespace, pod) as (pool, heard):
        await pool.scale(JOB, 1)
        assert "violates PodSecurity" in (await trouble(heard, "PodSecurity")).message
