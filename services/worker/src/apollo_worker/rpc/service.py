"""The Worker service: each call checks its message and hands over to the slot or the cache."""

import asyncio
import os
import platform
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Final

from grpclib import GRPCError
from grpclib.const import Status

from apollo_common.errors import ApolloError, VolumeFull, WorkerBusy, WorkerDrained
from apollo_common.logging import get_logger
from apollo_common.storage.port import AttemptAccess
from apollo_proto.apollo.v1 import (
    ArtifactChunk,
    AttachTaskRequest,
    CancelTaskRequest,
    CancelTaskResponse,
    DescribeRequest,
    DescribeResponse,
    PutArtifactResponse,
    RenewAccessRequest,
    RenewAccessResponse,
    TaskAssignment,
    TaskEvent,
    TaskKind,
    WorkerBase,
)
from apollo_worker import __version__
from apollo_worker.access import storage_access
from apollo_worker.cache import ArtifactCache
from apollo_worker.core.budget import MemoryLimit
from apollo_worker.events import EventLog
from apollo_worker.slot import AttemptSlot

_LISTED_DIGESTS = 64
_DESCRIBED_WITHIN_SECONDS: Final = 8.0  # coordinators do it every five; containers have ten to end
_log = get_logger(__name__)


class WorkerService(WorkerBase):
    def __init__(
        self, worker_id: str, slot: AttemptSlot, cache: ArtifactCache, memory: MemoryLimit, sandbox: str
    ) -> None:
        """`sandbox` says what programs run in, for people."""
        self._worker_id = worker_id
        self._slot = slot
        self._cache = cache
        self._memory_limit_bytes = memory.limit_bytes
        self._sandbox = sandbox
        self.streams = 0
        """How many streams of events are followed now."""
        self._described_at: float | None = None  # on the loop's clock
        self._known_to_drain = asyncio.Event()

    async def describe(self, message: DescribeRequest) -> DescribeResponse:  # noqa: ARG002
        self._described_at = asyncio.get_running_loop().time()
        if self._slot.draining:
            self._known_to_drain.set()
        return DescribeResponse(
            worker_id=self._worker_id,
            version=__version__,
            attempt_id=self._slot.running,
            artifact_digests=self._cache.digests()[-_LISTED_DIGESTS:],
            platform=f"{platform.system().lower()}/{platform.machine()}",
            memory_limit_bytes=self._memory_limit_bytes,
            process_id=os.getpid(),
            draining=self._slot.draining,
            sandbox=self._sandbox,
        )

    async def until_known_to_drain(self) -> None:
        """Until a coordinator has found that the worker drains, or none can be expected to come any more."""
        if self._described_at is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._described_at + _DESCRIBED_WITHIN_SECONDS):
                await self._known_to_drain.wait()

    async def put_artifact(self, messages: AsyncIterator[ArtifactChunk]) -> PutArtifactResponse:
        first = await anext(messages, None)
        if first is None:
            raise GRPCError(Status.INVALID_ARGUMENT, "an artifact needs at least one chunk")
        present = first.digest in self._cache
        try:
            await self._cache.store(first.digest, first.size_bytes, _contents(first, messages))
        except VolumeFull as error:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, str(error)) from error
        except ApolloError as error:
            raise GRPCError(Status.FAILED_PRECONDITION, str(error)) from error
        return PutArtifactResponse(already_present=present)

    async def run_task(self, message: TaskAssignment) -> AsyncIterator[TaskEvent]:
        _check(message)
        try:
            events = self._slot.start(message)
        except WorkerBusy as error:
            raise GRPCError(Status.RESOURCE_EXHAUSTED, str(error)) from error
        except WorkerDrained as error:
            raise GRPCError(Status.ABORTED, str(error)) from error
        async with aclosing(self._told(events, after_sequence=0)) as told:
            async for event in told:
                yield event

    async def attach_task(self, message: AttachTaskRequest) -> AsyncIterator[TaskEvent]:
        events = self._slot.find(message.attempt_id)
        if events is None:
            raise GRPCError(Status.NOT_FOUND, f"this worker does not know attempt {message.attempt_id}")
        async with aclosing(self._told(events, message.after_sequence)) as told:
            async for event in told:
                yield event

    async def renew_access(self, message: RenewAccessRequest) -> RenewAccessResponse:
        fresh = (storage_access(access) for access in (message.input, message.output, message.intermediate))
        await self._slot.renew(message.attempt_id, AttemptAccess(*fresh))
        return RenewAccessResponse()

    async def cancel_task(self, message: CancelTaskRequest) -> CancelTaskResponse:
        _log.info("asked to cancel an attempt", attempt=message.attempt_id, reason=message.reason)
        return CancelTaskResponse(was_running=await self._slot.cancel(message.attempt_id))

    async def _told(self, events: EventLog, after_sequence: int) -> AsyncGenerator[TaskEvent, None]:
        self.streams += 1
        try:
            async for event in events.follow(after_sequence):
                yield event
        finally:
            self.streams -= 1


async def _contents(first: ArtifactChunk, rest: AsyncIterator[ArtifactChunk]) -> AsyncIterator[bytes]:
    yield first.content
    async for chunk in rest:
        yield chunk.content


def _check(assignment: TaskAssignment) -> None:
    """INVALID_ARGUMENT for an assignment that no coordinator of this version sends."""
    works = {TaskKind.SAMPLE: assignment.map, TaskKind.MAP: assignment.map, TaskKind.REDUCE: assignment.reduce}
    work = works.get(assignment.kind)
    if not assignment.attempt_id or work is None or assignment.program is None:
        raise GRPCError(Status.INVALID_ARGUMENT, "an assignment needs an attempt id, a kind, its work and a program")
