"""Asks for the events of pods that are slow to start and do not say why: they tell of volumes and networks."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from apollo_common.errors import ApolloError
from apollo_common.ids import JobId
from apollo_common.logging import get_logger
from apollo_coordinator.pools.kubernetes.api import EVENTS, KubernetesApi
from apollo_coordinator.pools.kubernetes.calls import OwnedCalls
from apollo_coordinator.pools.kubernetes.failures import volume_reason
from apollo_coordinator.pools.kubernetes.pods import Pod

_MOST_EVENTS: Final = 500
"""Of one pod. They come in order of their names, and a short page may end before the newest. There are fewer: a
component may write 25 of an object and then one every five minutes, and they are kept for an hour.
"""

_log = get_logger(__name__)


class SlowStarts:
    """`tell` hears of what is found. Times are the event loop's."""

    def __init__(
        self, api: KubernetesApi, calls: OwnedCalls, tell: Callable[[JobId, str], None], slow_seconds: float
    ) -> None:
        self._api = api
        self._calls = calls
        self._tell = tell
        self._slow_seconds = slow_seconds
        self._since: dict[str, float] = {}  # when a pod was first seen, or last asked about

    def note(self, pod: str, now: float) -> None:
        """A pod is there."""
        self._since.setdefault(pod, now)

    def forget(self, pod: str) -> None:
        self._since.pop(pod, None)

    def look(self, job: JobId, pods: Sequence[Pod], now: float) -> None:
        """Ask about one pod of a job of which none runs."""
        if any(pod.ip and not pod.ended for pod in pods):
            return
        for pod in pods:
            slow = now - self._since.get(pod.name, now) > self._slow_seconds
            if slow and not pod.ended and not pod.waiting:
                if self._calls.begin(f"ask about {pod.name}", partial(self._ask, job, pod.name)):
                    self._since[pod.name] = now  # again after the same time
                return

    async def _ask(self, job: JobId, pod: str) -> None:
        selector = f"involvedObject.kind=Pod,involvedObject.name={pod}"
        try:
            found = await self._api.list(EVENTS, fieldSelector=selector, limit=str(_MOST_EVENTS))
        except ApolloError as error:
            _log.warning("events of a worker pod cannot be read", pod=pod, error=str(error))
            return
        reason = volume_reason(found.get("items") or ())
        if reason:
            self._tell(job, f"worker pod {pod}: {reason}")
