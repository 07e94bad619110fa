"""The pods of a coordinator that was, taken up by the next one. They are real worker processes."""

from apollo_coordinator.order import AttemptDone
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.ports import WorkerDraining, WorkerUp
from support.kubernetes_pools import kubernetes_pool, worker_manifest
from support.orders import map_order
from support.pod_cluster import JOB, trouble
from support.pools import running


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


async def test_pods_that_could_not_start_are_made_anew_once_the_template_is_mended(cluster):
    """As an operator mends it: in the settings of the coordinator, which then starts again."""
    wrong, right = worker_manifest(), worker_manifest()
    wrong["spec"]["containers"][0]["image"] = "apollo-worker:tset"
    async with kubernetes_pool(cluster.api, manifest=wrong) as pool, running(pool) as heard:
        await pool.scale(JOB, 2)
        await cluster.until(lambda: len(cluster.pods) == 2)
        stuck = set(cluster.pods)
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
        for name in stuck:
            cluster.api.set_status(name, containerStatuses=[{"name": "worker", "state": waiting}])
        assert "its image apollo-worker:tset cannot be had" in await trouble(heard)
    async with kubernetes_pool(cluster.api, manifest=right) as pool, running(pool) as heard:
        await pool.scale(JOB, 2)
        await cluster.until(lambda: len(cluster.pods) == 2 and not stuck & set(cluster.pods))
        images = [pod["spec"]["containers"][0]["image"] for pod in cluster.pods.values()]
        assert images == [right["spec"]["containers"][0]["image"]] * 2
        cluster.kubelet.start()
        await heard.until(WorkerUp, count=2)
        assert cluster.api.count("POST", "pods") == 4


async def test_pods_that_wait_or_run_are_kept_while_nothing_stands_against_them(cluster):
    cluster.kubelet.start()
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        cluster.kubelet.cordoned = True
        await pool.scale(JOB, 2)
        await cluster.until(lambda: len(cluster.pods) == 2)
    before = set(cluster.pods)
    async with kubernetes_pool(cluster.api) as pool, running(pool) as heard:  # the same template: one still waits
        await pool.scale(JOB, 2)
        await heard.until(WorkerUp)
        assert set(cluster.pods) == before
    other = worker_manifest(nodeSelector={"disk": "fast"})
    async with kubernetes_pool(cluster.api, manifest=other) as pool, running(pool) as heard:
        await pool.scale(JOB, 2)
        await cluster.until(lambda: set(cluster.pods) != before and len(cluster.pods) == 2)
        assert up.worker in cluster.pods
        assert cluster.api.count("DELETE", "pods") == 1
