"""The WorkerPool of a cluster: pods per job, made as the job needs them, found again after a restart.

Three things go on at once: the reflector keeps a picture of all worker pods; a task per running pod meets its worker
and looks after it; one task compares what jobs want with what is there and creates or deletes pods.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from apollo_common.errors import ApolloError, WorkerUnreachable
from apollo_common.ids import JobId, WorkerId
from apollo_common.lifecycle import TaskOwner, cancel_and_wait, to_the_end
from apollo_common.logging import get_logger
from apollo_coordinator.pools.kubernetes.api import EVENTS, PODS, KubernetesApi
from apollo_coordinator.pools.kubernetes.errors import ObjectMissing
from apollo_coordinator.pools.kubernetes.failures import volume_reason
from apollo_coordinator.pools.kubernetes.names import WORKER_PORT, Names
from apollo_coordinator.pools.kubernetes.observed_link import ObservedLink
from apollo_coordinator.pools.kubernetes.ownership import JobOwnership
from apollo_coordinator.pools.kubernetes.pods import Pod, parse_pod
from apollo_coordinator.pools.kubernetes.reflector import Reflector
from apollo_coordinator.pools.kubernetes.scaling import Member, plan
from apollo_coordinator.pools.kubernetes.settings import KubernetesPoolSettings
from apollo_coordinator.pools.kubernetes.template import PodTemplate
from apollo_coordinator.pools.kubernetes.volumes import check_volumes
from apollo_coordinator.pools.supervision import Connect, LiveWorkers, watch_until_gone
from apollo_coordinator.ports import PoolEvent, PoolTrouble, WorkerLink

_PASS_SECONDS: Final = 5.0  # between looks at what is idle or slow, when nothing else happens
_GATHER_SECONDS: Final = 0.05  # changes that come together are looked at together
_UNSEEN_SECONDS: Final = 30.0  # a pod that was created and is not seen for so long is not waited for
_DELETE_AGAIN_SECONDS: Final = 15.0
_FIRST_ANSWER_PAUSE_SECONDS: Final = 0.2
_MEET_AGAIN_SECONDS: Final = 2.0

_log = get_logger(__name__)


@dataclass(slots=True)
class _Demand:
    """What a job wants, and how its last wishes went."""

    workers: int = 0
    refusals: int = 0  # creations in a row that went wrong, or pods that ended before they worked
    not_before: float = 0.0
    told: str = ""  # the last trouble, said once as long as it stays the same


@dataclass(slots=True)
class _Served:
    """A running pod and the task that looks after its worker."""

    ended: asyncio.Future[str]
    task: asyncio.Task[None] | None = None
    link: ObservedLink | None = None  # once its worker is up


class KubernetesPool:
    """See apollo_coordinator.ports.WorkerPool. Pods outlive `close`: the next coordinator takes them up."""

    def __init__(
        self,
        api: KubernetesApi,
        names: Names,
        template: PodTemplate,
        ownership: JobOwnership,
        connect: Connect,
        settings: KubernetesPoolSettings | None = None,
    ) -> None:
        self._api = api
        self._names = names
        self._template = template
        self._ownership = ownership
        self._connect = connect
        self._settings = settings or KubernetesPoolSettings()
        self._live = LiveWorkers()
        self._demands: dict[JobId, _Demand] = {}
        self._served: dict[str, _Served] = {}
        self._first_seen: dict[str, float] = {}
        self._unseen: dict[str, tuple[JobId, float]] = {}  # created, not told by the reflector yet
        self._unwanted: dict[str, float] = {}  # to be deleted: not again before
        self._calls = asyncio.Semaphore(self._settings.parallel_calls)
        self._wake = asyncio.Event()
        self._tasks = TaskOwner()
        self.reflector = Reflector(
            api,
            PODS,
            names.selector("worker"),
            parse_pod,
            self._pod_changed,
            settings=self._settings.reflector,
            troubled=lambda message: self._live.tell(PoolTrouble(None, f"the Kubernetes API: {message}")),
        )

    # The port

    async def start(self, listener: Callable[[PoolEvent], None]) -> None:
        """InvalidSetting for a volume that workers cannot share; errors of the API."""
        self._live.listen(listener)
        await check_volumes(self._api, self._template, single_node=self._settings.single_node)
        await self.reflector.list()
        self._tasks.spawn(self.reflector.run(), name="reflector of worker pods")
        self._tasks.spawn(self._keep_jobs(), name="worker pods of jobs")

    async def scale(self, job: JobId | None, workers: int) -> None:
        """Every pod belongs to a job: a wish for none in particular changes nothing."""
        if job is None:
            return
        if workers:
            self._demands.setdefault(job, _Demand()).workers = workers
        else:
            self._demands.pop(job, None)
        self._wake.set()

    async def release(self, worker: WorkerId) -> None:
        self._live.dismiss(worker)

    def link(self, worker: WorkerId) -> WorkerLink:
        return self._live.link(worker)

    async def close(self) -> None:
        self._live.listen(lambda _event: None)
        await self._tasks.close()

    # What the reflector tells

    def _pod_changed(self, before: Pod | None, after: Pod | None) -> None:
        if after is None:
            if before is not None:
                self._forget(before)
        else:
            self._unseen.pop(after.name, None)
            self._first_seen.setdefault(after.name, _now())
            if after.ended:
                self._pod_ended(after)
            elif after.runs and after.name not in self._served and after.name not in self._unwanted:
                self._serve(after)
            elif after.waiting:
                self._tell(after.job, f"worker pod {after.name}: {after.waiting}")
        self._wake.set()

    def _pod_ended(self, pod: Pod) -> None:
        served = self._served.get(pod.name)
        if served is not None:
            if not served.ended.done():
                served.ended.set_result(pod.ended)
        elif not pod.deleting and pod.name not in self._unwanted:
            self._refused(pod.job, f"worker pod {pod.name}: {pod.ended}")
        self._let_go(pod.name)

    def _let_go(self, name: str) -> None:
        """Have a pod deleted, unless somebody has asked for that already."""
        pod = self.reflector.items.get(name)
        if pod is not None and not pod.deleting:
            self._unwanted.setdefault(name, 0.0)

    def _forget(self, pod: Pod) -> None:
        self._first_seen.pop(pod.name, None)
        self._unwanted.pop(pod.name, None)
        served = self._served.get(pod.name)
        if served is not None and not served.ended.done():
            served.ended.set_result(pod.ended or "its pod is gone")

    def _tell(self, job: JobId, message: str) -> None:
        demand = self._demands.get(job)
        if demand is not None and demand.told != message:
            demand.told = message
            self._live.tell(PoolTrouble(job, message))

    def _refused(self, job: JobId, message: str) -> None:
        """Something stands in the way of the job's pods: say it, and wait a little longer each time."""
        _log.warning("a job does not get its worker pods", job=job, error=message)
        demand = self._demands.get(job)
        if demand is not None:
            demand.refusals += 1
            demand.not_before = _now() + self._settings.create_backoff.pause_ms(demand.refusals) / 1000
            self._tell(job, message)

    # A task per running pod

    def _serve(self, pod: Pod) -> None:
        served = self._served[pod.name] = _Served(asyncio.get_running_loop().create_future())
        served.task = self._tasks.spawn(self._look_after(pod, served), name=f"worker pod {pod.name}")

    async def _look_after(self, pod: Pod, served: _Served) -> None:
        """Meet the worker of a running pod, look after it until it is gone, then have the pod deleted."""
        try:
            tls = await self._ownership.tls(pod.job)
            address = f"[{pod.ip}]:{WORKER_PORT}" if ":" in pod.ip else f"{pod.ip}:{WORKER_PORT}"
            link = ObservedLink(self._connect(address, tls=tls))
            if await self._met(pod, served, link):
                await self._watch_over(pod, served, link, address)
            else:
                await link.close()
                self._refused(pod.job, f"worker pod {pod.name}: {served.ended.result()}")
            self._let_go(pod.name)
        except ObjectMissing:
            self._let_go(pod.name)  # nothing is left of its job
        except ApolloError as error:
            self._refused(pod.job, f"worker pod {pod.name} cannot be met: {error}")
            await asyncio.sleep(_MEET_AGAIN_SECONDS)
        finally:
            del self._served[pod.name]
            self._wake.set()

    async def _met(self, pod: Pod, served: _Served, link: WorkerLink) -> bool:
        """Whether the worker has answered; otherwise `ended` says why not."""
        deadline = _now() + self._settings.first_answer_seconds
        while not served.ended.done():
            try:
                described = await link.describe()
            except WorkerUnreachable as error:
                if _now() > deadline:
                    served.ended.set_result(f"its container runs, but {error}")
            else:
                if described.worker_id == pod.name:
                    return True
                served.ended.set_result("another worker answers at its address")
            await asyncio.wait({served.ended}, timeout=_FIRST_ANSWER_PAUSE_SECONDS)
        return False

    async def _watch_over(self, pod: Pod, served: _Served, link: ObservedLink, address: str) -> None:
        worker = WorkerId(pod.name)
        if pod.job in self._demands:
            self._demands[pod.job].refusals = 0
            self._demands[pod.job].told = ""
        dismissed = self._live.add(worker, address, link, job=pod.job, pod_name=pod.name)
        served.link = link
        _log.info("worker is up", worker=worker, address=address, job=pod.job)
        reason = "the coordinator stops"
        watch = asyncio.ensure_future(watch_until_gone(link, self._settings.supervision, pod.name, dismissed))
        try:
            await asyncio.wait({watch, served.ended}, return_when=asyncio.FIRST_COMPLETED)
            reason = served.ended.result() if served.ended.done() else watch.result()
            _log.info("worker is gone", worker=worker, reason=reason)
        finally:
            served.link = None
            await to_the_end(cancel_and_wait(watch))
            await to_the_end(self._live.remove(worker, f"worker pod {pod.name}: {reason}"))

    # One task for what jobs want

    async def _keep_jobs(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._next_look()):
                    await self._wake.wait()
            await asyncio.sleep(_GATHER_SECONDS)
            self._wake.clear()
            await self._look()

    def _next_look(self) -> float:
        """Seconds until time alone may change what is to be done."""
        now = _now()
        retries = [demand.not_before - now for demand in self._demands.values() if demand.not_before > now]
        return min([_PASS_SECONDS, *retries])

    async def _look(self) -> None:
        now = _now()
        self._unseen = {name: item for name, item in self._unseen.items() if now - item[1] < _UNSEEN_SECONDS}
        pods: dict[JobId, list[Pod]] = defaultdict(list)
        for pod in self.reflector.items.values():
            pods[pod.job].append(pod)
            if pod.runs and pod.name not in self._served and pod.name not in self._unwanted:
                self._serve(pod)
        calls: list[Awaitable[None]] = [self._delete(name) for name, due in self._unwanted.items() if due <= now]
        room = self._settings.max_pods - len(self.reflector.items) - len(self._unseen)
        for job in [*self._demands, *(job for job in pods if job not in self._demands)]:
            create = self._settle(job, pods[job], room, now)
            room -= create
            calls += [self._create(job) for _ in range(create)]
            calls += self._questions(job, pods[job], now)
        await asyncio.gather(*calls)

    def _settle(self, job: JobId, pods: list[Pod], room: int, now: float) -> int:
        """How many pods to create for a job; those that it does not need are let go."""
        demand = self._demands.get(job) or _Demand()
        members = [self._member(pod, now) for pod in pods if not pod.ended and pod.name not in self._unwanted]
        members += [
            Member(name=name, started=False, idle_seconds=None)
            for name, (owner, _) in self._unseen.items()
            if owner == job
        ]
        create, delete = plan(demand.workers, members, room=room, keep_idle_seconds=self._settings.keep_idle_seconds)
        for name in delete:
            served = self._served.get(name)
            if served is not None and not served.ended.done():
                served.ended.set_result("its job has no work for it")
            else:
                self._let_go(name)
        if delete:
            self._wake.set()
        return create if demand.not_before <= now else 0

    def _member(self, pod: Pod, now: float) -> Member:
        served = self._served.get(pod.name)
        since = served.link.idle_since if served is not None and served.link is not None else None
        return Member(name=pod.name, started=bool(pod.ip), idle_seconds=None if since is None else now - since)

    def _questions(self, job: JobId, pods: list[Pod], now: float) -> list[Awaitable[None]]:
        """Ask for the events of one pod that is slow to start and does not say why."""
        if any(pod.ip and not pod.ended for pod in pods) or job not in self._demands:
            return []
        slow = self._settings.slow_start_seconds
        silent = [
            pod.name for pod in pods
            if not pod.ended and not pod.waiting and now - self._first_seen.get(pod.name, now) > slow
        ]  # fmt: skip
        return [self._ask(job, silent[0])] if silent else []

    # Calls to the API server

    async def _create(self, job: JobId) -> None:
        name = self._names.pod(job, secrets.token_hex(4))
        async with self._calls:
            demand = self._demands.get(job)
            if demand is None or demand.not_before > _now():
                return
            self._unseen[name] = (job, _now())
            try:
                objects = await self._ownership.ensure(job)
                if job not in self._demands:  # it has ended meanwhile
                    await self._ownership.delete(job)
                    del self._unseen[name]
                    return
                seconds = self._settings.orphan_seconds
                await self._api.create(
                    PODS, self._template.pod(name, self._names, objects.owner, orphan_seconds=seconds)
                )
            except ApolloError as error:
                self._unseen.pop(name, None)
                self._refused(job, f"no worker pod can be created: {error}")

    async def _delete(self, name: str) -> None:
        self._unwanted[name] = _now() + _DELETE_AGAIN_SECONDS
        async with self._calls:
            try:
                await self._api.delete(PODS, name)
            except ApolloError as error:
                _log.warning("worker pod is not deleted yet", pod=name, error=str(error))

    async def _ask(self, job: JobId, pod: str) -> None:
        self._first_seen[pod] = _now()  # again after the same time
        selector = f"involvedObject.kind=Pod,involvedObject.name={pod}"
        async with self._calls:
            try:
                found = await self._api.list(EVENTS, fieldSelector=selector, limit="50")
            except ApolloError as error:
                _log.warning("events of a worker pod cannot be read", pod=pod, error=str(error))
                return
        reason = volume_reason(found.get("items") or ())
        if reason:
            self._tell(job, f"worker pod {pod}: {reason}")


def _now() -> float:
    return asyncio.get_running_loop().time()
