"""A fake API server whose pods are real worker processes, for tests of the Kubernetes pool."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from apollo_common.ids import JobId
from apollo_coordinator.ports import PoolTrouble
from support.fake_kubelet import FakeKubelet
from support.fake_kubernetes import FakeKubernetes
from support.pools import PATIENCE_SECONDS, Heard

JOB = JobId("job1")

ENDED_BY_ITS_NODE = {
    "phase": "Failed",
    "reason": "Evicted",
    "message": "The node was low on resource: memory.",
    "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}],
}
"""The status of a pod that nobody has deleted."""


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
