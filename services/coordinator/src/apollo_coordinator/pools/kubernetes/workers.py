"""A task per running pod: it meets the worker there, looks after it, and tells what became of it."""

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from apollo_common.errors import ApolloError, WorkerUnreachable
from apollo_common.ids import JobId, WorkerId
from apollo_common.lifecycle import TaskOwner, cancel_and_wait, to_the_end
from apollo_common.logging import get_logger
from apollo_coordinator.pools.kubernetes.errors import ObjectMissing
from apollo_coordinator.pools.kubernetes.names import WORKER_PORT
from apollo_coordinator.pools.kubernetes.observed_link import ObservedLink
from apollo_coordinator.pools.kubernetes.ownership import JobOwnership
from apollo_coordinator.pools.kubernetes.pods import Pod
from apollo_coordinator.pools.kubernetes.settings import KubernetesPoolSettings
from apollo_coordinator.pools.supervision import Connect, LiveWorkers, watch_until_gone
from apollo_coordinator.ports import WorkerDraining, WorkerLink

_FIRST_ANSWER_PAUSE_SECONDS: Final = 0.2

_log = get_logger(__name__)


class PodEvents(NamedTuple):
    """What the pool hears of its pods' workers."""

    refused: Callable[[JobId, str], None]  # a worker is not to be had, in words
    up: Callable[[JobId], None]
    over: Callable[[Pod], None]  # nothing more comes of it
    put_off: Callable[[], None]  # a meeting went wrong; there is a next one


@dataclass(slots=True)
class _Served:
    ended: asyncio.Future[Pod | str]  # the pod as it ended, or why nothing more comes of it
    leaving: str = ""  # why it gets nothing more
    link: ObservedLink | None = None  # while its worker is up
    announced: bool = False
    forgotten: bool = False


class _Meetings(NamedTuple):
    """How meetings with the worker of a pod went, and when there may be another."""

    failures: int = 0  # in a row
    not_before: float = 0.0


class PodWorkers:
    """`serve` may be called for a pod again: what goes on is not begun twice, a worker that is gone is not met again,
    and a defect is not repeated without a pause.
    """

    def __init__(
        self,
        live: LiveWorkers,
        ownership: JobOwnership,
        connect: Connect,
        settings: KubernetesPoolSettings,
        events: PodEvents,
    ) -> None:
        self._live = live
        self._ownership = ownership
        self._connect = connect
        self._settings = settings
        self._events = events
        self._served: dict[str, _Served] = {}
        self._met_before: dict[str, _Meetings] = {}
        self._tasks = TaskOwner()

    def __contains__(self, pod: str) -> bool:
        return pod in self._served

    def serve(self, pod: Pod) -> None:
        """Meet the worker of a running pod, unless that goes on already or has just gone wrong."""
        before = self._met_before.get(pod.name)
        if pod.name in self._served or (before is not None and before.not_before > _now()):
            return
        served = self._served[pod.name] = _Served(asyncio.get_running_loop().create_future(), leaving=pod.leaving)
        self._tasks.spawn(self._look_after(pod, served), name=f"worker pod {pod.name}")

    def has_met(self, pod: str) -> bool:
        """Whether the pod's worker is up, or has been until now."""
        served = self._served.get(pod)
        return served is not None and served.announced

    def next_meetings(self) -> Iterable[float]:
        """When pods may be served again whose workers could not be met, on the event loop's clock."""
        return (before.not_before for before in self._met_before.values())

    def drain(self, pod: str, reason: str) -> None:
        """Have a worker finish what it runs and get nothing more; the engine then releases it."""
        served = self._served.get(pod)
        if served is None or served.leaving:
            return
        served.leaving = reason
        if served.link is not None:
            self._live.tell(WorkerDraining(WorkerId(pod), reason))

    def drains(self, pod: str) -> bool:
        served = self._served.get(pod)
        return served is not None and bool(served.leaving)

    def idle_since(self, pod: str) -> float | None:
        """On the event loop's clock; None while it works or is not known."""
        served = self._served.get(pod)
        return served.link.idle_since if served is not None and served.link is not None else None

    def end(self, pod: str, how: Pod | str) -> None:
        """Nothing more comes of the pod."""
        served = self._served.get(pod)
        if served is not None and not served.ended.done():
            served.ended.set_result(how)

    def forget(self, pod: str, how: Pod) -> None:
        """The pod is gone for good."""
        if pod in self._served:
            self._served[pod].forgotten = True
            self.end(pod, how)
        self._met_before.pop(pod, None)

    async def close(self) -> None:
        await self._tasks.close()

    async def _look_after(self, pod: Pod, served: _Served) -> None:
        again = False
        try:
            await self._meet(pod, served)
        except ObjectMissing:
            pass  # nothing is left of its job
        except ApolloError as error:
            again = True
            self._events.refused(pod.job, f"worker pod {pod.name} cannot be met: {error}")
        except Exception:  # noqa: BLE001 - a defect costs one meeting; a worker that was announced does not come again
            again = not served.announced
            _log.exception("a defect of the coordinator ends its link to a worker", pod=pod.name)
        finally:
            del self._served[pod.name]
        if not served.forgotten:
            self._note_meeting(pod.name, again=again)
        if again:
            self._events.put_off()
        else:
            self._events.over(pod)

    def _note_meeting(self, pod: str, *, again: bool) -> None:
        failures = self._met_before.get(pod, _Meetings()).failures + 1
        pause_seconds = self._settings.supervision.backoff.pause_ms(failures) / 1000
        self._met_before[pod] = _Meetings(failures, _now() + pause_seconds if again else math.inf)

    async def _meet(self, pod: Pod, served: _Served) -> None:
        """Errors of the API; ObjectMissing when nothing is left of the pod's job."""
        tls = await self._ownership.tls(pod.job)
        address = f"[{pod.ip}]:{WORKER_PORT}" if ":" in pod.ip else f"{pod.ip}:{WORKER_PORT}"
        link = ObservedLink(self._connect(address, tls=tls))
        try:
            met = await self._met(pod, served, link)
        except BaseException:
            await to_the_end(link.close())
            raise
        if met:
            await self._watch_over(pod, served, link, address)
            return
        await to_the_end(link.close())
        if not served.leaving:
            self._events.refused(pod.job, f"worker pod {pod.name}: {_why(served.ended.result(), link)}")

    async def _met(self, pod: Pod, served: _Served, link: WorkerLink) -> bool:
        """Whether the worker has answered; otherwise `ended` says why not."""
        deadline = _now() + self._settings.first_answer_seconds
        while not served.ended.done():
            try:
                described = await link.describe()
            except WorkerUnreachable as error:
                if _now() > deadline:
                    self.end(pod.name, f"its container runs, but {error}")
            else:
                if described.worker_id == pod.name:
                    return True
                self.end(pod.name, "another worker answers at its address")
            await asyncio.wait({served.ended}, timeout=_FIRST_ANSWER_PAUSE_SECONDS)
        return False

    async def _watch_over(self, pod: Pod, served: _Served, link: ObservedLink, address: str) -> None:
        worker = WorkerId(pod.name)
        self._events.up(pod.job)
        dismissed = self._live.add(worker, address, link, job=pod.job, pod_name=pod.name)
        served.link, served.announced = link, True
        _log.info("worker is up", worker=worker, address=address, job=pod.job)
        reason, fault = "the coordinator met an internal error; its log has the details", ""
        watch = asyncio.ensure_future(watch_until_gone(link, self._settings.supervision, pod.name, dismissed))
        try:
            if served.leaving:
                self._live.tell(WorkerDraining(worker, served.leaving))
            either: set[asyncio.Future[Any]] = {watch, served.ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if served.ended.done():
                ended = served.ended.result()
                reason, fault = _why(ended, link), ended.fault if isinstance(ended, Pod) else ""
            else:
                reason = served.leaving or watch.result()
            _log.info("worker is gone", worker=worker, reason=reason)
        finally:
            served.link = None
            await to_the_end(cancel_and_wait(watch))
            told = f"worker pod {pod.name}: {reason}"
            await to_the_end(self._live.remove(worker, told, fault=fault))


def _why(ended: Pod | str, link: ObservedLink) -> str:
    return ended if isinstance(ended, str) else ended.end_with_peak(link.memory_peak_bytes)


def _now() -> float:
    return asyncio.get_running_loop().time()
