"""What every pool of real workers does: keep a link to each, look after it, tell the engine when it comes and goes."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from apollo_common.backoff import Backoff
from apollo_common.errors import ApolloError, WorkerUnreachable
from apollo_common.ids import JobId, WorkerId
from apollo_coordinator.ports import PoolEvent, WorkerGone, WorkerLink, WorkerUp


class Connect(Protocol):
    """Makes a link; `apollo_coordinator.rpc.link.GrpcWorkerLink` is one."""

    def __call__(self, address: str, token: str = "", *, tls: ssl.SSLContext | None = None) -> WorkerLink:
        """`address` is host:port. The worker asks for the token, or for the certificate that `tls` holds."""
        ...


@dataclass(frozen=True, slots=True)
class Supervision:
    """How a pool looks after its workers."""

    describe_every_seconds: float = 5.0  # also what keeps workers from believing themselves orphans
    silence_seconds: float = 30.0  # without an answer: the worker is gone
    backoff: Backoff = field(default_factory=lambda: Backoff(200, 10_000))  # between starts or connections that fail


class LiveWorkers:
    """The workers of a pool that are up, with a link each; announces each coming and going exactly once."""

    def __init__(self) -> None:
        self._links: dict[WorkerId, WorkerLink] = {}
        self._dismissals: dict[WorkerId, asyncio.Future[str]] = {}
        self._listener: Callable[[PoolEvent], None] = lambda _event: None

    def listen(self, listener: Callable[[PoolEvent], None]) -> None:
        self._listener = listener

    def tell(self, event: PoolEvent) -> None:
        self._listener(event)

    def add(
        self, worker: WorkerId, address: str, link: WorkerLink, *, job: JobId | None = None, pod_name: str = ""
    ) -> asyncio.Future[str]:
        """Announce a worker. The future holds why, once the engine dismisses it."""
        self._links[worker] = link
        dismissed = self._dismissals[worker] = asyncio.get_running_loop().create_future()
        self._listener(WorkerUp(worker, address, job, pod_name))
        return dismissed

    def dismiss(self, worker: WorkerId, reason: str) -> None:
        """The engine does not want it any more; nothing happens when it is gone already, or dismissed."""
        dismissed = self._dismissals.get(worker)
        if dismissed is not None and not dismissed.done():
            dismissed.set_result(reason)

    async def remove(self, worker: WorkerId, reason: str, *, fault: str = "") -> None:
        """Announce that a worker is gone and close its link."""
        link = self._links.pop(worker)
        del self._dismissals[worker]
        self._listener(WorkerGone(worker, reason, fault))
        await link.close()

    def link(self, worker: WorkerId) -> WorkerLink:
        """WorkerUnreachable when it is not up."""
        try:
            return self._links[worker]
        except KeyError:
            raise WorkerUnreachable(f"worker {worker} is gone") from None


async def watch_until_gone(
    link: WorkerLink,
    supervision: Supervision,
    expected: str,
    dismissed: asyncio.Future[str],
    told_to_end: Callable[[], None] = lambda: None,
) -> str:
    """Describe a worker regularly until it is silent for too long, dismissed or another one: which, in words.

    `told_to_end` is called whenever it says so.
    """
    clock = asyncio.get_running_loop().time
    last_heard = clock()
    while clock() - last_heard < supervision.silence_seconds:
        await asyncio.wait({dismissed}, timeout=supervision.describe_every_seconds)
        if dismissed.done():
            why = dismissed.result()
            return f"it was released: {why}" if why else "it was released"
        try:
            description = await link.describe()
        except ApolloError:
            continue
        if description.worker_id != expected:
            return "another worker answers at its address"
        last_heard = clock()
        if description.draining:
            told_to_end()
    return f"it has not answered for {supervision.silence_seconds:g} s"
