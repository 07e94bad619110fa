"""`./dev scale`: what a thousand worker pods of one job cost the Kubernetes API, and the coordinator that watches them.

API server, etcd, scheduler and controllers are real, with the Role of the base's coordinator and the audit log as
witness. The nodes are KWOK's: their pods are said to run, and nothing runs in them. So the pool is the real one, but
what it calls a worker is a stand-in that answers at once, and this program plays the engine: it asks for the workers,
lets them stand there, restarts the pool, and ends the job. gRPC, scheduling of tasks and data are measured elsewhere.
"""

import argparse
import asyncio
import gc
import json
import resource
import ssl
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from apollo_common.ids import AttemptId, JobId
from apollo_common.storage.port import AttemptAccess
from apollo_coordinator.order import AttemptOrder, AttemptReport, WorkerDescription
from apollo_coordinator.pools.kubernetes.api import PODS, KubernetesApi
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.ownership import JobOwnership
from apollo_coordinator.pools.kubernetes.pods import Pod, parse_pod
from apollo_coordinator.pools.kubernetes.pool import KubernetesPool
from apollo_coordinator.pools.kubernetes.reflector import Reflector
from apollo_coordinator.pools.kubernetes.settings import KubernetesPoolSettings
from apollo_coordinator.pools.kubernetes.template import PodTemplate
from apollo_coordinator.ports import PoolEvent, WorkerGone, WorkerUp
from benchmarks.report import MIB, Table, save_table
from support.cluster import audit
from support.cluster.cluster import Cluster
from support.cluster.simulated_nodes import POD_PLACE, start_simulated_nodes, stop_simulated_nodes
from support.quiet import quiet_logs

RESULTS = Path(__file__).parent / "results"
ACCESS = Path(__file__).parents[1] / "infra/kustomize/base/access.yaml"
NAMESPACE = "apollo-scale"
ACCOUNT = "apollo-coordinator"
PATIENCE_SECONDS = 600.0
HOLD_SECONDS = 150  # longer than the longest watch


class StandIn:
    """The link to a worker that is there and idle. See apollo_coordinator.ports.WorkerLink."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def run(self, order: AttemptOrder) -> AsyncIterator[AttemptReport]:
        raise NotImplementedError(f"{self._name} runs nothing, not even {order.attempt_id}")
        yield

    async def attach(self, attempt: AttemptId) -> AsyncIterator[AttemptReport]:
        raise NotImplementedError(f"{self._name} runs nothing, not even {attempt}")
        yield

    async def cancel(self, attempt: AttemptId, reason: str) -> None: ...

    async def describe(self) -> WorkerDescription:
        return WorkerDescription(self._name, "stand-in", "")

    async def renew(self, attempt: AttemptId, access: AttemptAccess) -> None: ...

    async def install(self, digest: str, content: Path) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Workers:
    """The listener: which workers are there."""

    up: set[str] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, event: PoolEvent) -> None:
        if isinstance(event, WorkerUp):
            self.up.add(event.worker)
        elif isinstance(event, WorkerGone):
            self.up.discard(event.worker)
        self._changed.set()

    async def number(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.up) != count:
                self._changed.clear()
                await self._changed.wait()


@dataclass(frozen=True)
class Phase:
    name: str
    began: datetime
    ended: datetime
    cpu_seconds: float
    resident_bytes: int


class Stopwatch:
    """Measures phases of this process, one after another."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []

    async def phase(self, name: str, work: Callable[[], Any]) -> None:
        began, cpu = audit.now(), time.process_time()
        await work()
        ended, cpu_seconds = audit.now(), time.process_time() - cpu
        gc.collect()
        self.phases.append(Phase(name, began, ended, cpu_seconds, _resident_bytes()))


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev scale", description=__doc__)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--hold", type=int, default=HOLD_SECONDS, help="seconds that they stand there")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the table")
    options = parser.parse_args()
    cluster = Cluster()
    was_up = cluster.is_up
    cluster.up()
    try:
        start_simulated_nodes(cluster, options.pods)
        with quiet_logs():
            table = measure(cluster, options.pods, options.hold)
        stop_simulated_nodes(cluster)
    finally:
        if not was_up:
            cluster.down()
    path = save_table(options.results, "scale", table)
    print(f"{table.markdown()}\n\n{path}")


def measure(cluster: Cluster, pods: int, hold_seconds: int) -> Table:
    kubeconfig = _as_coordinator(cluster)
    watch = Stopwatch()
    try:
        reflector = asyncio.run(_life_of_a_job(kubeconfig, pods, hold_seconds, watch))
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=300s")
    user = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
    return _table(watch.phases, audit.calls_of(cluster.state, user, watch.phases[0].began), pods, reflector)


async def _life_of_a_job(kubeconfig: Path, pods: int, hold_seconds: int, watch: Stopwatch) -> str:
    """What a reflector alone needs, in words; the phases go to `watch`."""
    api, names, job, workers = await KubernetesApi.connect(NAMESPACE, kubeconfig), Names(), JobId("scale"), Workers()
    ownership = JobOwnership(api, names)
    pool = _pool(api, names, ownership, pods)
    await pool.start(workers)
    await pool.scale(job, pods)
    await watch.phase(f"{pods:,} pods are made, and their workers met", lambda: workers.number(pods))
    await watch.phase(f"{hold_seconds} s of work", lambda: asyncio.sleep(hold_seconds))
    await pool.close()
    again = Workers()
    ownership, successor = JobOwnership(api, names), _pool(api, names, JobOwnership(api, names), pods)

    async def take_up() -> None:
        await successor.start(again)
        await successor.scale(job, pods)
        await again.number(pods)

    await watch.phase("another coordinator takes them up", take_up)
    reflector = await _list_alone(api, names)

    async def end() -> None:
        await successor.scale(job, 0)
        await ownership.delete(job)
        await again.number(0)

    await watch.phase("the job ends", end)
    await successor.close()
    await api.close()
    return reflector


def _pool(api: KubernetesApi, names: Names, ownership: JobOwnership, pods: int) -> KubernetesPool:
    container = {"name": "worker", "image": "apollo-worker:simulated"}
    template = PodTemplate({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [container]} | POD_PLACE})

    def connect(address: str, token: str = "", *, tls: ssl.SSLContext | None = None) -> StandIn:  # noqa: ARG001
        ip = address.partition(":")[0]
        return StandIn(next(pod.name for pod in pool.reflector.items.values() if pod.ip == ip))

    pool = KubernetesPool(api, names, template, ownership, connect, KubernetesPoolSettings(max_pods=pods))
    return pool


async def _list_alone(api: KubernetesApi, names: Names) -> str:
    def reflector() -> Reflector[Pod]:
        return Reflector(api, PODS, names.selector("worker"), parse_pod, lambda _before, _after: None)

    cpu = time.process_time()
    await reflector().list()
    cpu_ms = (time.process_time() - cpu) * 1000
    tracemalloc.start()
    traced = reflector()
    await traced.list()
    gc.collect()
    kept, peak = (size / MIB for size in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    return (
        f"A reflector alone lists {len(traced.items):,} pods in {cpu_ms:.0f} ms of CPU; "
        f"its picture takes {kept:.1f} MiB, {peak:.1f} MiB at most while it is made"
    )


def _as_coordinator(cluster: Cluster) -> Path:
    """A kubeconfig of the coordinator's service account, in a namespace of its own."""
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("--namespace", NAMESPACE, "apply", "-f", str(ACCESS))
    token = cluster.kubectl("--namespace", NAMESPACE, "create", "token", ACCOUNT, "--duration=2h").strip()
    document = yaml.safe_load(cluster.state.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    path = cluster.state.root / "scale-kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))
    return path


def _table(phases: list[Phase], calls: list[audit.Call], pods: int, reflector: str) -> Table:
    rows = []
    for phase in phases:
        within = [call for call in calls if phase.began <= call.at < phase.ended]
        per_second = Counter(call.at.replace(microsecond=0) for call in within)
        asked = Counter(f"{call.verb} {call.resource}" for call in within)
        rows.append(
            (
                phase.name,
                f"{(phase.ended - phase.began).total_seconds():.0f}",
                len(within),
                ", ".join(f"{count:,} {what}" for what, count in asked.most_common()) or "none",
                max(per_second.values(), default=0),
                f"{phase.cpu_seconds:.1f}",
                f"{phase.resident_bytes / MIB:.0f}",
            )
        )
    return Table(
        f"One job with {pods:,} worker pods on a real API server",
        "Pods on nodes that KWOK simulates, so without workers: a stand-in answers for each. Calls and the most in one "
        "second are the coordinator's, from the API server's audit log; CPU and resident memory are those of the pool. "
        f"{reflector}.",
        ("phase", "s", "calls", "which", "most in 1 s", "CPU s", "MiB"),
        rows,
    )


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
