"""The Kubernetes pool when something in it goes wrong that nobody foresaw, calls hang, or it is cancelled."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from apollo_common.ids import JobId
from apollo_coordinator.pools.kubernetes import pool as module
from apollo_coordinator.pools.kubernetes.names import WORKER_PORT
from apollo_coordinator.pools.memory import MemoryWorker
from apollo_coordinator.ports import WorkerDraining, WorkerGone, WorkerUp
from support.cancellation import cancelled_everywhere
from support.fake_kubernetes import FakeKubernetes
from support.kubernetes_pools import kubernetes_pool
from support.pools import PATIENCE_SECONDS, running

JOB, OTHER = JobId("job1"), JobId("job2")


@dataclass
class Cluster:
    """Pods run as soon as they are made, with workers in this process."""

    api: FakeKubernetes
    names: dict[str, str] = field(default_factory=dict)  # address -> pod
    connections: int = 0
    defects: int = 0  # of so many connections, the first

    def __post_init__(self) -> None:
        self.api.pod_created = self.run

    def run(self, pod: str) -> None:
        ip = f"10.0.0.{len(self.names) + 1}"
        self.names[f"{ip}:{WORKER_PORT}"] = pod
        self.api.set_status(pod, phase="Running", podIP=ip)

    def connect(self, address: str, token: str = "", *, tls: ssl.SSLContext | None = None) -> MemoryWorker:
        self.connections += 1
        if self.connections <= self.defects:
            raise RuntimeError("a defect")
        return MemoryWorker(self.names[address], lambda _order: pytest.fail("no attempt is meant to run"))

    def pool(self, **changes: Any):
        return kubernetes_pool(self.api, connector=self.connect, **changes)

    @property
    def pods(self) -> dict[str, dict]:
        return self.api.objects.setdefault("pods", {})


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with FakeKubernetes().serving() as api:
        yield Cluster(api)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


# Defects


def failing(times: int, work: Callable[..., Any]) -> Callable[..., Any]:
    """`work`, that fails in an unforeseen way the first so many times."""
    left = times

    def run(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise RuntimeError("a defect")
        return work(*arguments, **options)

    return run


async def test_a_defect_in_the_look_at_all_jobs_costs_a_pause_and_not_the_pool(cluster, monkeypatch):
    monkeypatch.setattr(module, "plan", failing(3, module.plan))
    async with cluster.pool() as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        await heard.until(WorkerUp)


async def test_a_defect_at_a_pods_news_makes_the_reflector_list_again(cluster, monkeypatch):
    monkeypatch.setattr(module, "parse_pod", failing(2, module.parse_pod))
    async with cluster.pool() as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        await heard.until(WorkerUp)
        assert pool.reflector.metrics.lists == 3


async def test_a_defect_at_a_creation_is_told_and_tried_again(cluster, monkeypatch):
    monkeypatch.setattr(module.PodTemplate, "pod", failing(1, module.PodTemplate.pod))
    async with cluster.pool() as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        await heard.until(WorkerUp)
        assert "the coordinator met an internal error" in heard.events[0].message


async def test_a_worker_whose_meeting_meets_a_defect_is_met_again_with_growing_pauses(cluster):
    cluster.defects = 4
    async with cluster.pool() as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        await heard.until(WorkerUp)
        assert cluster.connections == 5
        assert len(cluster.pods) == 1


async def test_a_defect_that_stays_does_not_make_the_pool_hot(cluster):
    cluster.defects = 1 << 30
    async with cluster.pool() as pool, running(pool):
        await pool.scale(JOB, 1)
        await until(lambda: cluster.connections >= 2)
        await asyncio.sleep(1.5)  # a try every 50 ms would be 30
        assert cluster.connections < 15


async def test_a_worker_that_a_defect_has_ended_is_replaced_and_its_name_does_not_come_again(cluster, monkeypatch):
    monkeypatch.setattr(MemoryWorker, "describe", failing_later(MemoryWorker.describe))
    async with cluster.pool() as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        first, second = await heard.until(WorkerUp, count=2)
        assert first.worker != second.worker
        (gone,) = await heard.until(WorkerGone)
        assert gone.worker == first.worker
        assert "internal error" in gone.reason


def failing_later(describe: Callable[..., Any]) -> Callable[..., Any]:
    """The first worker is met well, then its supervision meets a defect."""
    calls = 0

    async def run(worker: MemoryWorker) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("a defect")
        return await describe(worker)

    return run


# Calls


async def test_a_call_that_hangs_holds_up_no_other(cluster):
    async with cluster.pool() as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        cluster.api.held = ("DELETE", "pods")
        await pool.release(up.worker)
        await until(lambda: cluster.api.count("DELETE", "pods"))
        await pool.scale(OTHER, 1)
        ups = await heard.until(WorkerUp, count=3)
        assert {up.job for up in ups[1:]} == {JOB, OTHER}
        assert up.worker in cluster.pods


async def test_so_many_calls_are_under_way_and_no_more(cluster):
    async with cluster.pool(parallel_calls=3) as pool, running(pool):
        await pool.scale(JOB, 1)
        await until(lambda: cluster.pods)
        cluster.api.held = ("POST", "pods")
        await pool.scale(JOB, 50)
        await until(lambda: cluster.api.count("POST", "pods") == 4)
        await asyncio.sleep(0.5)
        assert cluster.api.count("POST", "pods") == 4


async def test_a_jobs_many_pods_do_not_keep_another_jobs_few_waiting(cluster):
    async with cluster.pool(parallel_calls=1, max_pods=100) as pool, running(pool) as heard:
        await pool.scale(JOB, 30)
        await pool.scale(OTHER, 1)
        ups = await heard.until(WorkerUp, count=3)
        assert OTHER in {up.job for up in ups}


async def test_jobs_that_find_no_room_wait_until_another_has_done_its_work(cluster):
    jobs = [JOB, OTHER, JobId("job3")]
    async with cluster.pool(max_pods=2, keep_idle_seconds=0.0) as pool, running(pool) as heard:
        for job in jobs:
            await pool.scale(job, 3)
        first, _ = ups = await heard.until(WorkerUp, count=2)
        assert [up.job for up in ups] == jobs[:2]
        for _ in range(5):
            await pool.scale(jobs[2], 3)  # the pool looks at all jobs again
            await asyncio.sleep(0.1)
        assert len(heard.events) == 2
        await pool.scale(first.job, 0)
        (draining,) = await heard.until(WorkerDraining)
        assert draining.worker == first.worker
        await pool.release(first.worker)
        assert (await heard.until(WorkerUp, count=3))[2].job == jobs[2]


# An API server whose lists or watches do not work


async def test_pods_that_are_not_seen_are_not_made_again(cluster, monkeypatch):
    async with cluster.pool() as pool, running(pool):
        cluster.api.held = ("GET", "pods")  # no list or watch is answered
        cluster.api.cut_watches()
        await pool.scale(JOB, 2)
        await until(lambda: len(cluster.pods) == 2)
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(module, "_now", lambda: loop.time() + 3600)
        await pool.scale(JOB, 2)
        await asyncio.sleep(0.5)
        assert len(cluster.pods) == 2
        assert not pool.reflector.items


async def test_a_pod_that_went_before_it_was_seen_is_made_again_once_a_list_does_not_have_it(cluster):
    gone: list[str] = []

    def first_goes(name: str) -> None:
        if not gone:
            gone.append(name)
            cluster.api.remove("pods", name)
        else:
            cluster.run(name)

    cluster.api.pod_created = first_goes
    cluster.api.quiet_watches = True
    async with cluster.pool() as pool, running(pool) as heard:
        await pool.scale(JOB, 1)
        (up,) = await heard.until(WorkerUp)
        assert up.worker not in gone
        assert cluster.api.count("POST", "pods") == 2


async def test_no_pod_is_made_while_those_that_are_there_may_not_be_known(cluster):
    async with cluster.pool() as pool, running(pool) as heard:
        cluster.api.broken = {"list", "watch"}
        cluster.api.cut_watches()
        await until(lambda: pool.reflector.stale)
        await pool.scale(JOB, 1)
        await asyncio.sleep(0.5)
        assert cluster.api.count("POST", "pods") == 0
        cluster.api.broken = set()
        await heard.until(WorkerUp)


async def test_a_job_that_wants_no_pod_for_now_loses_nothing_by_a_creation_that_was_under_way(cluster):
    """Its credentials may lie in a Secret that belongs to its ConfigMap, and its commit needs them."""
    async with cluster.pool() as pool, running(pool) as heard:
        cluster.api.held = ("POST", "secrets")
        await pool.scale(JOB, 1)
        await until(lambda: cluster.api.count("POST", "secrets"))
        await pool.scale(JOB, 0)
        cluster.api.let_go()
        await until(lambda: cluster.api.objects["secrets"])
        await pool.scale(OTHER, 1)
        await heard.until(WorkerUp)
        assert cluster.api.count("DELETE", "configmaps") == 0
        assert {up.job for up in heard.events} == {OTHER}


# Cancellation


async def test_a_pool_that_is_cancelled_at_any_moment_leaves_nothing(cluster):
    async def story() -> None:
        try:
            async with cluster.pool(keep_idle_seconds=0.0) as pool, running(pool) as heard:
                await pool.scale(JOB, 1)
                await heard.until(WorkerUp)
                await pool.scale(JOB, 0)
                (draining,) = await heard.until(WorkerDraining)
                await pool.release(draining.worker)
                await heard.until(WorkerGone)
        finally:
            for kind in ("pods", "secrets", "configmaps"):
                cluster.api.objects.get(kind, {}).clear()

    assert await cancelled_everywhere(story) > 5


@pytest.mark.parametrize("held", [
    ("POST", "configmaps"), ("POST", "secrets"), ("POST", "pods"), ("DELETE", "pods"), ("GET", "events"),
])  # fmt: skip
async def test_closing_while_a_call_is_under_way_ends_it(cluster, held):
    if held[1] == "events":
        cluster.api.pod_created = lambda _name: None
    async with cluster.pool() as pool:
        before = asyncio.all_tasks()
        async with running(pool) as heard:
            cluster.api.held = held
            await pool.scale(JOB, 1)
            if held[0] == "DELETE":
                (up,) = await heard.until(WorkerUp)
                await pool.release(up.worker)
            await until(lambda: cluster.api.count(*held))
        own = [task for task in asyncio.all_tasks() - before if "RequestHandler" not in str(task.get_coro())]
        assert own == []
