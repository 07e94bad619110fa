"""The WorkerPool of a cluster: pods per job, made as the job needs them, found again after a restart.

Three things go on at once: the reflector keeps a picture of all worker pods; `workers.py` looks after the worker in
each; one task compares what jobs want with what is there and has pods created or deleted.
"""

import asyncio
import math
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

from apollo_common.endurance import begun_again
from apollo_common.errors import ApolloError
from apollo_common.ids import JobId, WorkerId
from apollo_common.lifecycle import TaskOwner
from apollo_common.logging import get_logger
from apollo_coordinator.core.pod_overrides import PodOverrides
from apollo_coordinator.pools.kubernetes.api import PODS, KubernetesApi
from apollo_coordinator.pools.kubernetes.calls import OwnedCalls
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.ownership import JobOwnership
from apollo_coordinator.pools.kubernetes.pods import Pod, parse_pod
from apollo_coordinator.pools.kubernetes.reflector import Reflector
from apollo_coordinator.pools.kubernetes.scaling import Member, fair_shares, in_turn, plan
from apollo_coordinator.pools.kubernetes.settings import KubernetesPoolSettings
from apollo_coordinator.pools.kubernetes.slow_starts import SlowStarts
from apollo_coordinator.pools.kubernetes.template import PodTemplate
from apollo_coordinator.pools.kubernetes.volumes import check_volumes
from apollo_coordinator.pools.kubernetes.workers import PodEvents, PodWorkers
from apollo_coordinator.pools.supervision import Connect, LiveWorkers
from apollo_coordinator.ports import PoolEvent, PoolTrouble, WorkerLink

_PASS_SECONDS: Final = 5.0  # between looks at what is idle or slow, when nothing else happens
_GATHER_SECONDS: Final = 0.05  # changes that come together are looked at together
_DELETE_AGAIN_SECONDS: Final = 15.0

_log = get_logger(__name__)


@dataclass(slots=True)
class _Coming:
    """A pod that the reflector has not told of yet."""

    job: JobId
    created_at: float = math.inf  # on the event loop's clock; not yet: its creation is under way


@dataclass(slots=True)
class _Demand:
    """What a job wants, and how its last wishes went."""

    workers: int = 0
    pods: PodOverrides = field(default_factory=PodOverrides)
    template: str = ""  # the version of what its pods are made from now
    refusals: int = 0  # creations in a row that went wrong, or pods that ended before they worked
    not_before: float = 0.0
    told: str = ""  # the last trouble, said once as long as it stays the same


class KubernetesPool:
    """See apollo_coordinator.ports.WorkerPool. Pods outlive `close`: the next coordinator takes them up."""

    tells_ends = True
    adopts_at_start = False

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
        self._settings = settings or KubernetesPoolSettings()
        self._live = LiveWorkers()
        self._wake = asyncio.Event()
        events = PodEvents(self._refused, self._worker_up, self._worker_over, self._wake.set)
        self._workers = PodWorkers(self._live, ownership, connect, self._settings, events)
        self._demands: dict[JobId, _Demand] = {}
        self._unseen: dict[str, _Coming] = {}
        self._unwanted: dict[str, float] = {}  # to be deleted: not again before
        self._calls = OwnedCalls(self._settings.parallel_calls, self._wake.set)
        self._slow_starts = SlowStarts(api, self._calls, self._tell, self._settings.slow_start_seconds)
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
        self._go_on(self.reflector.run, "reflector of worker pods")
        self._go_on(self._keep_jobs, "worker pods of jobs")

    async def scale(self, job: JobId | None, workers: int, pods: PodOverrides | None = None) -> None:
        """Every pod belongs to a job: a wish for none in particular changes nothing."""
        if job is None:
            return
        if workers:
            demand = self._demands.setdefault(job, _Demand())
            demand.workers, demand.pods = workers, pods or PodOverrides()
            demand.template = self._template.version(demand.pods)
        else:
            self._demands.pop(job, None)
        self._wake.set()

    async def release(self, worker: WorkerId, reason: str = "") -> None:
        self._live.dismiss(worker, reason)

    def link(self, worker: WorkerId) -> WorkerLink:
        return self._live.link(worker)

    async def close(self) -> None:
        self._live.listen(lambda _event: None)
        async with AsyncExitStack() as closing:  # the last goes first
            closing.push_async_callback(self._calls.close)
            closing.push_async_callback(self._workers.close)
            closing.push_async_callback(self._tasks.close)

    def _go_on(self, work: Callable[[], Awaitable[None]], what: str) -> None:
        self._tasks.spawn(begun_again(work, what=what, backoff=self._settings.reflector.backoff), name=what)

    # What the reflector tells

    def _pod_changed(self, before: Pod | None, after: Pod | None) -> None:
        self._note_taken_away(before, after)
        if after is None:
            if before is not None:
                self._forget(before)
        else:
            self._unseen.pop(after.name, None)
            self._slow_starts.note(after.name, _now())
            if after.ended:
                self._pod_ended(after)
            elif after.leaving:
                self._workers.drain(after.name, after.leaving)
            elif after.waiting:
                self._tell(after.job, f"worker pod {after.name}: {after.waiting}")
            self._serve(after)
        self._wake.set()

    def _serve(self, pod: Pod) -> None:
        if pod.runs and pod.name not in self._unwanted:
            self._workers.serve(pod)

    def _note_taken_away(self, before: Pod | None, after: Pod | None) -> None:
        """A pod that others delete before its worker was met would be made again at once, and deleted again: by the
        garbage collector for ever, if the ConfigMap is gone that owns it.
        """
        pod = after or before
        if pod is None or (after is not None and not after.deleting):
            return
        known = before is not None and (before.deleting or before.ended)
        if known or pod.name in self._unwanted or self._workers.has_met(pod.name):
            return
        if pod.job in self._demands:
            self._ownership.doubt(pod.job)
            self._refused(
                pod.job, f"worker pod {pod.name}: {pod.leaving or 'it was deleted'} before its worker was met"
            )

    def _pod_ended(self, pod: Pod) -> None:
        if pod.name in self._workers:
            self._workers.end(pod.name, pod)
        elif not pod.deleting and pod.name not in self._unwanted:
            self._refused(pod.job, f"worker pod {pod.name}: {pod.ended}")
        self._let_go(pod.name)

    def _let_go(self, name: str) -> None:
        """Have a pod deleted, unless somebody has asked for that already."""
        pod = self.reflector.items.get(name)
        if pod is not None and not pod.deleting:
            self._unwanted.setdefault(name, 0.0)

    def _forget(self, pod: Pod) -> None:
        self._slow_starts.forget(pod.name)
        self._unwanted.pop(pod.name, None)
        self._workers.forget(pod.name, pod)

    def _tell(self, job: JobId, message: str) -> None:
        demand = self._demands.get(job)
        if demand is not None and demand.told != message:
            demand.told = message
            self._live.tell(PoolTrouble(job, message))

    def _refused(self, job: JobId, message: str) -> None:
        """Something stands in the way of the job's pods: say it, and wait a little longer each time."""
        _log.warning("a job does not get its worker pods", job=job, error=message)
        demand = self._demands.get(job)
        if demand is None:
            return
        if demand.not_before <= _now():  # calls that went out together are refused together
            demand.refusals += 1
            demand.not_before = _now() + self._settings.create_backoff.pause_ms(demand.refusals) / 1000
        self._tell(job, message)

    # What becomes of their workers

    def _worker_up(self, job: JobId) -> None:
        if job in self._demands:
            self._demands[job].refusals = 0
            self._demands[job].told = ""

    def _worker_over(self, pod: Pod) -> None:
        self._let_go(pod.name)
        self._tell_again(pod.job)
        self._wake.set()

    def _tell_again(self, job: JobId) -> None:
        """What was told while the job had a worker did not matter then, and may now."""
        if job not in self._demands:
            return
        self._demands[job].told = ""
        waiting = (pod for pod in self.reflector.items.values() if pod.job == job and pod.waiting)
        for pod in islice(waiting, 1):
            self._tell(job, f"worker pod {pod.name}: {pod.waiting}")

    # One task for what jobs want

    async def _keep_jobs(self) -> None:
        while True:
            self._wake.clear()
            self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._next_look()):
                    await self._wake.wait()
            await asyncio.sleep(_GATHER_SECONDS)

    def _next_look(self) -> float:
        """Seconds until time alone may change what is to be done."""
        now = _now()
        retries = [demand.not_before for demand in self._demands.values()]
        return min([_PASS_SECONDS, *(due - now for due in (*retries, *self._workers.next_meetings()) if due > now)])

    def _look(self) -> None:
        """Begin the calls that bring what is there closer to what is wanted, as many as there may be at a time."""
        now = _now()
        listed_at = self.reflector.listed_at  # what was there then and was not listed has gone unseen
        self._unseen = {name: pod for name, pod in self._unseen.items() if pod.created_at >= listed_at}
        pods: dict[JobId, list[Pod]] = defaultdict(list)
        for pod in self.reflector.items.values():
            pods[pod.job].append(pod)
            self._serve(pod)
            self._renew(pod)
        missing, there = self._settle(pods, now)
        for name in self._to_delete(now):
            if self._calls.begin(f"delete {name}", partial(self._delete, name)):
                self._unwanted[name] = now + _DELETE_AGAIN_SECONDS
        for job in islice(in_turn(missing, there), self._room()):
            self._begin_creation(job)
        for job in self._demands:
            self._slow_starts.look(job, pods[job], now)

    def _renew(self, pod: Pod) -> None:
        """A pod that has not started may never start as it is, and may as the template is now: it is made anew."""
        demand = self._demands.get(pod.job)
        outdated = demand is not None and pod.template not in ("", demand.template)
        if outdated and not pod.ip and not pod.ended:
            self._let_go(pod.name)

    def _room(self) -> int:
        """How many pods may be made now. None while those that are there may not be known."""
        if self.reflector.stale:
            return 0
        living = sum(not pod.ended for pod in self.reflector.items.values())
        return max(min(self._settings.max_pods - living - len(self._unseen), self._calls.room), 0)

    def _settle(self, pods: Mapping[JobId, list[Pod]], now: float) -> tuple[dict[JobId, int], dict[JobId, int]]:
        """How many pods each job misses, and has; those that a job does not need are let go."""
        wanted = {job: demand.workers for job, demand in self._demands.items()}  # the oldest first
        wanted |= dict.fromkeys(pods.keys() - wanted.keys(), 0)
        coming: dict[JobId, list[str]] = defaultdict(list)
        for name, unseen in self._unseen.items():
            coming[unseen.job].append(name)
        missing: dict[JobId, int] = {}
        there: dict[JobId, int] = {}
        members = {job: self._members(pods.get(job, ()), coming.get(job, ()), now) for job in wanted}
        most, keep_seconds = self._settings.max_pods, self._settings.keep_idle_seconds
        counts = {job: len(found) for job, found in members.items()}
        crowded = sum(max(workers, counts[job]) for job, workers in wanted.items()) > most
        shares = fair_shares(wanted, counts, most) if crowded else {}
        for job, workers in wanted.items():
            create, let_go = plan(workers, members[job], share=shares.get(job), keep_idle_seconds=keep_seconds)
            for name in let_go:
                self._retire(name)
            if create and self._demands[job].not_before <= now:
                missing[job], there[job] = create, counts[job]
        return missing, there

    def _to_delete(self, now: float) -> list[str]:
        """What is unwanted, unless the API server is known to delete it already."""
        due = [self.reflector.items.get(name) for name, not_before in self._unwanted.items() if not_before <= now]
        return [pod.name for pod in due if pod is not None and not pod.deleting]

    def _members(self, pods: Sequence[Pod], coming: Sequence[str], now: float) -> list[Member]:
        """The pods of a job that are there to stay, and those that are on their way."""
        staying = [
            pod for pod in pods
            if not (pod.ended or pod.leaving or pod.name in self._unwanted or self._workers.drains(pod.name))
        ]  # fmt: skip
        members = [Member(name=pod.name, started=bool(pod.ip), idle_seconds=self._idle(pod, now)) for pod in staying]
        return members + [Member(name=name, started=False, idle_seconds=None) for name in coming]

    def _idle(self, pod: Pod, now: float) -> float | None:
        since = self._workers.idle_since(pod.name)
        return None if since is None else now - since

    def _retire(self, name: str) -> None:
        """Its job does not need the pod any more. Only the engine knows whether its worker has just got an attempt."""
        if name in self._workers:
            self._workers.drain(name, "its job has no work for it")
        else:
            self._let_go(name)

    # Calls to the API server

    def _begin_creation(self, job: JobId) -> None:
        name = self._names.pod(job, secrets.token_hex(4))
        if self._calls.begin(f"create {name}", partial(self._create, job, name)):
            self._unseen[name] = _Coming(job)

    async def _create(self, job: JobId, name: str) -> None:
        created = False
        try:
            if job not in self._demands:
                return
            objects = await self._ownership.ensure(job)
            demand = self._demands.get(job)
            if demand is None:  # if it has ended, its secrets are forgotten next, and what it owns with them
                return
            seconds = self._settings.orphan_seconds
            pod = self._template.pod(name, self._names, objects.owner, demand.pods, orphan_seconds=seconds)
            await self._api.create(PODS, pod)
            created = True
        except ApolloError as error:
            self._refused(job, f"no worker pod can be created: {error}")
        except Exception:  # noqa: BLE001 - a defect is not met again without a pause
            _log.exception("a defect of the coordinator keeps a worker pod from being created", job=job)
            self._refused(job, "no worker pod can be created: the coordinator met an internal error")
        finally:
            if not created:
                self._unseen.pop(name, None)
            elif name in self._unseen:
                self._unseen[name].created_at = _now()

    async def _delete(self, name: str) -> None:
        try:
            await self._api.delete(PODS, name)
        except ApolloError as error:
            _log.warning("worker pod is not deleted yet", pod=name, error=str(error))


def _now() -> float:
    return asyncio.get_running_loop().time()
