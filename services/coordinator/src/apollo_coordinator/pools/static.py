"""Workers at addresses that somebody else looks after: docker-compose, bare metal.

Each entry is `host:port`; a host name may stand for many workers and is resolved again from time to time.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from apollo_common.errors import ApolloError, InvalidSetting, WorkerUnreachable
from apollo_common.ids import JobId, WorkerId
from apollo_common.lifecycle import TaskOwner, cancel_and_wait, to_the_end
from apollo_common.logging import get_logger
from apollo_coordinator.core.pod_overrides import PodOverrides
from apollo_coordinator.order import WorkerDescription
from apollo_coordinator.pools.supervision import Connect, LiveWorkers, Supervision, watch_until_gone
from apollo_coordinator.ports import PoolEvent, PoolTrouble, WorkerDraining, WorkerLink

MAX_ADDRESSES = 10_000
_TROUBLE_AFTER_FAILURES = 5

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StaticPoolSettings:
    addresses: tuple[str, ...]  # host:port each
    token: str = field(default="", repr=False)  # that every worker asks for
    resolve_every_seconds: float = 10.0
    supervision: Supervision = field(default_factory=Supervision)


class StaticPool:
    """See apollo_coordinator.ports.WorkerPool. Neither starts nor ends a worker."""

    tells_ends = False  # it knows no more of how they ended than their streams do
    adopts_at_start = False

    def __init__(self, settings: StaticPoolSettings, connect: Connect) -> None:
        """InvalidSetting for an entry that is no host:port."""
        self._settings = settings
        self._connect = connect
        self._entries = [_parse(entry) for entry in settings.addresses]
        self._live = LiveWorkers()
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._incarnations: dict[str, int] = {}
        self._tasks = TaskOwner()

    async def start(self, listener: Callable[[PoolEvent], None]) -> None:
        self._live.listen(listener)
        self._tasks.spawn(self._keep_resolving(), name="static pool: resolve")

    async def scale(self, job: JobId | None, workers: int, pods: PodOverrides | None = None) -> None:
        """A fixed pool has the workers that it has."""

    async def release(self, worker: WorkerId, reason: str = "") -> None:
        """Drop the link; the worker is met again, under a new id, once it answers."""
        self._live.dismiss(worker, reason)

    def link(self, worker: WorkerId) -> WorkerLink:
        return self._live.link(worker)

    async def close(self) -> None:
        self._live.listen(lambda _event: None)
        await self._tasks.close()

    async def _keep_resolving(self) -> None:
        while True:
            addresses = await self._resolve()
            for address in addresses - self._watches.keys():
                self._watches[address] = self._tasks.spawn(self._watch(address), name=f"static pool: {address}")
            for address in self._watches.keys() - addresses:
                await cancel_and_wait(self._watches.pop(address))
            await asyncio.sleep(self._settings.resolve_every_seconds)

    async def _resolve(self) -> set[str]:
        """Every address behind the entries; those of a name that does not resolve now stay as they were."""
        loop = asyncio.get_running_loop()
        found: set[str] = set()
        for host, port in self._entries:
            try:
                answers = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                _log.warning("worker address does not resolve", host=host, error=str(error))
                self._live.tell(PoolTrouble(None, f"{host} does not resolve: {error.strerror}"))
                found |= self._watches.keys()  # which of them were this name's is not known
                continue
            found |= {_join(answer[4][0], port) for answer in answers}
        return set(sorted(found)[:MAX_ADDRESSES])

    async def _watch(self, address: str) -> None:
        """Meet the worker at an address, look after it until it is gone, and again."""
        failures = 0
        while True:
            try:
                await self._serve(address)
                failures = 0
            except ApolloError as error:
                failures += 1
                if failures >= _TROUBLE_AFTER_FAILURES:  # again each time: for jobs that came since
                    self._live.tell(PoolTrouble(None, str(error)))
            except Exception:  # noqa: BLE001 - a defect costs one meeting, not the worker for ever
                failures += 1
                _log.exception("a defect of the coordinator ends its link to a worker", address=address)
            if failures:
                await asyncio.sleep(self._settings.supervision.backoff.pause_ms(failures) / 1000)

    async def _serve(self, address: str) -> None:
        """Announce the worker at an address and look after it until it is gone. ApolloError: it does not answer."""
        supervision = self._settings.supervision
        link = self._connect(address, self._settings.token)
        try:
            description = await _meet(link, address)
        except BaseException:
            await to_the_end(link.close())
            raise
        worker = self._name(description.worker_id)
        dismissed = self._live.add(worker, address, link)
        told_to_end = partial(self._live.tell, WorkerDraining(worker, "it was told to end"))
        reason = "its address is no longer among the workers'"
        try:
            reason = await watch_until_gone(link, supervision, description.worker_id, dismissed, told_to_end)
        except asyncio.CancelledError:  # whoever looks after the workers has taken it away
            self._live.tell(WorkerDraining(worker, reason))
            raise
        finally:
            await to_the_end(self._live.remove(worker, reason))

    def _name(self, described_id: str) -> WorkerId:
        """The worker's own id; with a number when it was met before, since no id ever comes again."""
        count = self._incarnations[described_id] = self._incarnations.get(described_id, 0) + 1
        return WorkerId(described_id if count == 1 else f"{described_id}~{count}")


async def _meet(link: WorkerLink, address: str) -> WorkerDescription:
    """Who is there. WorkerUnreachable, also for one that will end and runs nothing any more."""
    description = await link.describe()
    if description.draining and not description.attempt_id:
        raise WorkerUnreachable(f"worker at {address} was told to end")
    return description


def _parse(entry: str) -> tuple[str, int]:
    host, colon, port = entry.strip().rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidSetting(f"worker address {entry!r} is not host:port, such as worker:8090")
    return host.strip("[]"), int(port)


def _join(host: object, port: int) -> str:
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
