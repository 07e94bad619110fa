"""WorkerLink over gRPC: one worker, one connection.

A broken stream is not a lost worker: the link attaches again where it left off, and gives up only when as many streams
in a row as `reattach` allows have failed, or when nothing was heard for `silence_seconds`.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from grpclib import GRPCError
from grpclib.const import Status
from grpclib.exceptions import ProtocolError, StreamTerminatedError

from apollo_common.backoff import Backoff
from apollo_common.calls import observed
from apollo_common.errors import ObjectNotFound, VolumeFull, WorkerBusy, WorkerDrained, WorkerUnreachable
from apollo_common.grpc import ChannelClosed, GrpcChannel, bearer_metadata, keepalive_configuration
from apollo_common.ids import AttemptId
from apollo_common.logging import get_logger
from apollo_common.storage.port import AttemptAccess
from apollo_common.volumes import Volume
from apollo_coordinator.order import (
    AttemptCancelled,
    AttemptDone,
    AttemptFailed,
    AttemptOrder,
    AttemptReport,
    WorkerDescription,
)
from apollo_coordinator.rpc.convert import to_assignment, to_description, to_renewal, to_report
from apollo_coordinator.rpc.observer import OPEN, OPENING, UNOBSERVED, LinkObserver, StreamWatch
from apollo_proto.apollo.v1 import (
    ArtifactChunk,
    AttachTaskRequest,
    CancelTaskRequest,
    DescribeRequest,
    TaskEvent,
    WorkerStub,
)

ARTIFACT_CHUNK_BYTES = 256 << 10

# grpclib asserts where a connection ends in the middle of a message.
_BROKEN = (OSError, StreamTerminatedError, ProtocolError, AssertionError)
_PASSING = (Status.UNAVAILABLE, Status.CANCELLED, Status.INTERNAL, Status.UNKNOWN)
_END = (AttemptDone, AttemptFailed, AttemptCancelled)
_log = get_logger(__name__)

Stream = AsyncGenerator[TaskEvent, None]
Reports = AsyncGenerator[AttemptReport, None]


@dataclass(frozen=True, slots=True)
class LinkSettings:
    silence_seconds: float = 30.0  # workers speak every 2 s; this is how long a stopped one may stay unnoticed
    call_seconds: float = 10.0  # of a call with a short answer
    cancel_seconds: float = 15.0  # the worker waits for the program's end before it answers
    install_seconds: float = 300.0  # of one artifact, 256 MiB at most
    reattach: Backoff = field(default_factory=lambda: Backoff(first_ms=200, limit_ms=5_000, tries=5))
    keepalive_seconds: float = 10.0


class GrpcWorkerLink:
    """See apollo_coordinator.ports.WorkerLink."""

    def __init__(
        self,
        address: str,
        token: str = "",
        settings: LinkSettings | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        observer: LinkObserver = UNOBSERVED,
    ) -> None:
        """See apollo_coordinator.pools.supervision.Connect. Nothing is sent before the first call."""
        host, _, port = address.rpartition(":")
        self._address = address
        self._settings = settings or LinkSettings()
        self._observer = observer
        configuration = keepalive_configuration(every_seconds=self._settings.keepalive_seconds)
        self._channel = GrpcChannel(host.strip("[]"), int(port), tls=tls, config=configuration)
        self._worker = WorkerStub(self._channel, metadata=bearer_metadata(token))

    async def run(self, order: AttemptOrder) -> Reports:
        assignment = to_assignment(order)
        async with aclosing(
            self._follow(order.attempt_id, lambda: _stream(self._worker.run_task(assignment)))
        ) as reports:
            async for report in reports:
                yield report

    async def attach(self, attempt: AttemptId) -> Reports:
        async with aclosing(self._follow(attempt, lambda: self._attach_stream(attempt, after=0))) as reports:
            async for report in reports:
                yield report

    async def cancel(self, attempt: AttemptId, reason: str) -> None:
        async with self._calling("cancel_task", self._settings.cancel_seconds):
            await self._worker.cancel_task(CancelTaskRequest(attempt_id=attempt, reason=reason))

    async def describe(self) -> WorkerDescription:
        async with self._calling("describe", self._settings.call_seconds):
            return to_description(await self._worker.describe(DescribeRequest()))

    async def renew(self, attempt: AttemptId, access: AttemptAccess) -> None:
        async with self._calling("renew_access", self._settings.call_seconds):
            await self._worker.renew_access(to_renewal(attempt, access))

    async def install(self, digest: str, content: Path) -> None:
        if digest in (await self.describe()).artifact_digests:
            return
        async with self._calling("put_artifact", self._settings.install_seconds):
            try:
                await self._worker.put_artifact(_chunks(digest, content))
            except GRPCError as error:
                if error.status is Status.RESOURCE_EXHAUSTED:
                    raise VolumeFull(str(error.message), volume=Volume.WORKER) from None
                raise

    async def close(self) -> None:
        self._channel.close()

    async def _follow(self, attempt: AttemptId, opening: Callable[[], Stream]) -> Reports:
        """Reports of an attempt until its end, over as many streams as it takes.

        Until the first event has come, a new stream is opened like the first: a worker joins a repeated RunTask of
        the attempt that it runs already.
        """
        known = 0
        failures = 0
        last_heard = self._now()
        with StreamWatch(self._observer) as watch:
            while True:
                watch.become(OPENING)
                stream = self._attach_stream(attempt, after=known) if known else opening()
                with self._mapped_errors():
                    try:
                        async with aclosing(stream):
                            while (event := await self._next(stream, last_heard)) is not None:
                                watch.become(OPEN)
                                last_heard = self._now()
                                failures = 0
                                if event.sequence <= known:
                                    continue
                                known = event.sequence
                                report = to_report(event)
                                if report is not None:
                                    yield report
                                    last_heard = self._now()  # who hears it may have taken long
                                if isinstance(report, _END):
                                    return
                        raise StreamTerminatedError("the stream ended before the attempt did")
                    except (*_BROKEN, GRPCError) as error:
                        if known and isinstance(error, GRPCError) and error.status is Status.NOT_FOUND:
                            raise WorkerUnreachable(f"worker at {self._address} was started anew meanwhile") from None
                        failures += 1
                        if not isinstance(error, GRPCError) or error.status in _PASSING:
                            self._observer.stream_broke()
                        if not _may_pass(error) or failures == self._settings.reattach.tries:
                            raise
                        _log.info("attempt's stream broke, attaching again", attempt=attempt, failures=failures)
                await asyncio.sleep(self._settings.reattach.pause_ms(failures) / 1000)

    async def _next(self, stream: Stream, last_heard: float) -> TaskEvent | None:
        """The stream's next event, None at its end; TimeoutError `silence_seconds` after the last."""
        async with asyncio.timeout_at(last_heard + self._settings.silence_seconds):
            return await anext(stream, None)

    def _attach_stream(self, attempt: AttemptId, *, after: int) -> Stream:
        return _stream(self._worker.attach_task(AttachTaskRequest(attempt_id=attempt, after_sequence=after)))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    @asynccontextmanager
    async def _calling(self, method: str, seconds: float) -> AsyncIterator[None]:
        """One call with one answer, bounded in time."""
        with observed(partial(self._observer.call_ended, method)), self._mapped_errors():
            async with asyncio.timeout(seconds):
                yield

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        """Errors of grpclib and the network as the port's own."""
        name = f"worker at {self._address}"
        try:
            yield
        except TimeoutError:
            raise WorkerUnreachable(f"{name} was silent for too long") from None
        except GRPCError as error:
            if error.status is Status.RESOURCE_EXHAUSTED:
                raise WorkerBusy(f"{name} is busy: {error.message}") from None
            if error.status is Status.ABORTED:
                raise WorkerDrained(f"{name} takes nothing more: {error.message}") from None
            if error.status is Status.NOT_FOUND:
                raise ObjectNotFound(f"{name}: {error.message}") from None
            raise WorkerUnreachable(f"{name} answered {error.status.name}: {error.message}") from None
        except _BROKEN as error:
            raise WorkerUnreachable(f"{name} cannot be reached: {error or type(error).__name__}") from None


def _stream(events: AsyncIterator[TaskEvent]) -> Stream:
    """The generated stubs are async generators, but are annotated as iterators, which cannot be closed."""
    return cast(Stream, events)


def _may_pass(error: Exception) -> bool:
    """Whether another stream may fare better. Silence has lasted long enough; other answers are the worker's last."""
    if isinstance(error, GRPCError):
        return error.status in _PASSING
    return not isinstance(error, (TimeoutError, ChannelClosed))


async def _chunks(digest: str, content: Path) -> AsyncIterator[ArtifactChunk]:
    with await asyncio.to_thread(content.open, "rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        first = await asyncio.to_thread(file.read, ARTIFACT_CHUNK_BYTES)
        yield ArtifactChunk(digest=digest, size_bytes=size_bytes, content=first)
        while chunk := await asyncio.to_thread(file.read, ARTIFACT_CHUNK_BYTES):
            yield ArtifactChunk(content=chunk)
