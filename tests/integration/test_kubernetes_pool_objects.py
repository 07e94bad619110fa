"""What the objects of a job in the cluster say: names, labels, owners, keys, credentials."""

import json

from apollo_common.ids import JobId, WorkerId
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.ownership import ClusterSecrets, JobOwnership
from apollo_coordinator.ports import JobSecrets, WorkerUp
from support.kubernetes_pools import kubernetes_pool, reach
from support.pod_cluster import JOB
from support.pools import running


def test_a_worker_id_is_a_valid_pod_name():
    assert WorkerId(Names().pod(JOB, "0a1b2c3d")) == "apollo-worker-job1-0a1b2c3d"


async def test_a_worker_is_bound_to_its_job_and_known_by_its_pod(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        assert (up.job, up.pod_name, str(up.worker)) == (JOB, *[next(iter(cluster.pods))] * 2)


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


async def test_the_coordinators_keys_are_in_no_pod(cluster):
    async with kubernetes_pool(cluster.api) as pool, running(pool):
        await pool.scale(JOB, 1)
        await cluster.pod_without_node()
        pods = json.dumps(cluster.api.objects["pods"])
        secret = cluster.api.objects["secrets"][Names().job_object(JOB)]
        assert set(secret["data"]) == {"ca.crt", "worker.crt", "worker.key", "coordinator.crt", "coordinator.key"}
        assert "coordinator" not in json.dumps(cluster.api.objects["pods"]).replace("apollo-coordinator", "")
        assert not [value for value in secret["data"].values() if value in pods]


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
    assert await ClusterSecrets(api, names, ownership).sweep(JobId("known").__eq__) == 1
    assert list(cluster.api.objects["configmaps"]) == [names.job_object(JobId("known"))]
    assert list(cluster.api.objects["secrets"]) == [names.job_object(JobId("known"))]
    await api.close()
