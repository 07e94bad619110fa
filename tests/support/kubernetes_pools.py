"""Kubernetes pools over the fake API server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kubernetes_asyncio.client import Configuration

from apollo_common.backoff import Backoff
from apollo_coordinator.pools.kubernetes.api import KubernetesApi
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.ownership import JobOwnership
from apollo_coordinator.pools.kubernetes.pool import KubernetesPool
from apollo_coordinator.pools.kubernetes.reflector import ReflectorSettings
from apollo_coordinator.pools.kubernetes.settings import KubernetesPoolSettings
from apollo_coordinator.pools.kubernetes.template import PodTemplate
from apollo_coordinator.pools.supervision import Connect
from support.fake_kubernetes import NAMESPACE, FakeKubernetes
from support.pools import QUICK_SUPERVISION, connect

QUICK_REFLECTOR = ReflectorSettings(Backoff(first_ms=10, limit_ms=200), watch_seconds=(5, 10))


def worker_manifest(**spec: Any) -> dict[str, Any]:
    worker = {"name": "worker", "image": "apollo-worker:test", "resources": {"limits": {"memory": "512Mi"}}}
    return {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [worker]} | spec}


def reach(fake: FakeKubernetes) -> KubernetesApi:
    configuration = Configuration()
    configuration.host = fake.url
    return KubernetesApi(configuration, NAMESPACE)


@asynccontextmanager
async def kubernetes_pool(
    fake: FakeKubernetes,
    *,
    manifest: dict[str, Any] | None = None,
    stateful_set: str = "",
    connector: Connect = connect,
    **changes: Any,
) -> AsyncIterator[KubernetesPool]:
    """A pool that is not started; its API client is closed at the end."""
    api, names = reach(fake), Names()
    quick: dict[str, Any] = {
        "supervision": QUICK_SUPERVISION,
        "reflector": QUICK_REFLECTOR,
        "create_backoff": Backoff(first_ms=50, limit_ms=500),
        "slow_start_seconds": 0.2,
    }
    ownership = JobOwnership(api, names, stateful_set)
    template = PodTemplate(manifest or worker_manifest())
    try:
        yield KubernetesPool(api, names, template, ownership, connector, KubernetesPoolSettings(**(quick | changes)))
    finally:
        await api.close()
