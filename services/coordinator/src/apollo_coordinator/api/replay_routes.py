"""What somebody needs to run an attempt again on another machine: what its worker was told, programs, map outputs.

All of it is its owner's alone: variables, parameters, programs and data are shown nowhere else.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from apollo_common.assignment import DATA_FILE, INDEX_FILE
from apollo_common.errors import MapOutputsGone, ObjectNotFound, UnknownJob
from apollo_common.ids import AttemptId, TaskId, job_of
from apollo_coordinator.api.access import CALLER
from apollo_coordinator.api.audit import DISCLOSES
from apollo_coordinator.api.routing import Route
from apollo_coordinator.api.schemas import ReplayQuery
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.streaming import RANGE_HEADERS, send_bytes
from apollo_coordinator.api.tasks import OwnedTasks
from apollo_coordinator.api.viewing import view_attempt
from apollo_coordinator.api.views import ArtifactBytesView, ReplayView
from apollo_coordinator.callers import NotOwner, Role
from apollo_coordinator.core.state import task_of
from apollo_coordinator.jobs import JobService
from apollo_coordinator.order import AttemptOrder
from apollo_coordinator.ports import ArtifactStore, MapOutputReader

EncodeOrder = Callable[[AttemptOrder], dict[str, Any]]
"""As the worker gets it, in JSON."""

_READ_BYTES: Final = 256 << 10
_FILES: Final = {"data": DATA_FILE, "index": INDEX_FILE}
_RANGE_MEANING: Final = {206: "The range that was asked for"}


class ReplayRoutes:
    def __init__(
        self,
        service: JobService,
        artifacts: ArtifactStore,
        map_outputs: MapOutputReader,
        encode: EncodeOrder,
        settings: ApiSettings,
        tasks: OwnedTasks,
    ) -> None:
        self._service = service
        self._artifacts = artifacts
        self._map_outputs = map_outputs
        self._encode = encode
        self._settings = settings
        self._tasks = tasks

    def routes(self) -> list[Route]:
        streams: dict[str, Any] = {
            "produces": "application/octet-stream",
            "headers": RANGE_HEADERS,
            "also": _RANGE_MEANING,
            "role": Role.SUBMITTER,
            "streams": True,
        }
        return [
            Route(
                "GET",
                "/api/v1/tasks/{id}/replay",
                self.replay,
                "What a worker was told about an attempt of one's own job, to run it again elsewhere",
                content=ReplayView,
                query=ReplayQuery,
                role=Role.SUBMITTER,
                problems=(404, 409, 422),
            ),
            Route(
                "GET",
                "/api/v1/artifact-bytes/{digest}",
                self.artifact_bytes,
                "The bytes of an artifact of one's own, or that a job of one's own was given",
                problems=(404, 416),
                **streams,
            ),
            Route(
                "GET",
                "/api/v1/attempts/{id}/map-output/{file}",
                self.map_output,
                "The file `data` or `index` of an accepted map output of one's own job, while it is kept",
                problems=(404, 409, 416, 502),
                **streams,
            ),
        ]

    async def replay(self, request: web.Request, query: ReplayQuery) -> ReplayView:
        task = TaskId(request.match_info["id"])
        self._check_owner(request, task)
        replay = await self._service.replay(task, query.attempt)
        request[DISCLOSES] = True
        digests = replay.job.spec.artifact_digests
        return ReplayView(
            attempt=view_attempt(replay.attempt, {}),
            artifacts=[await asyncio.to_thread(self._sized, digest) for digest in digests],
            assignment=self._encode(replay.order),
        )

    async def artifact_bytes(self, request: web.Request) -> web.StreamResponse:
        digest = request.match_info["digest"]
        caller = request[CALLER]
        owners = {info.user for info in await self._artifacts.all() if info.digest == digest}
        owners |= self._service.artifact_users(digest)
        if not owners:
            raise ObjectNotFound("There is no artifact with this digest.")
        if not caller.may(Role.ADMIN) and caller.user not in owners:
            raise NotOwner("these bytes belong to others: only their owners, who used them in jobs, or an admin may")
        size_bytes = (await asyncio.to_thread(self._sized, digest)).size
        request[DISCLOSES] = True
        with self._tasks.stream(), self._artifacts.pinned([digest]):
            read = partial(_file_bytes, self._artifacts.path(digest))
            return await send_bytes(request, size_bytes, read, self._settings.write_timeout_s)

    async def map_output(self, request: web.Request) -> web.StreamResponse:
        attempt = AttemptId(request.match_info["id"])
        file = _FILES.get(request.match_info["file"])
        self._check_owner(request, attempt)
        task = await self._service.task(task_of(attempt))
        if file is None or task.accepted != attempt or task.output is None or not task.output.path:
            raise UnknownJob(f"attempt {attempt} has no map output of this name")
        path = task.output.path
        size_bytes = await self._map_outputs.size_bytes(path, file)
        if size_bytes is None:
            raise MapOutputsGone(
                f"the map output of attempt {attempt} is there no more: it stays only with keepIntermediate, until the "
                "job is forgotten"
            )

        def read(offset: int, length_bytes: int) -> AsyncGenerator[bytes, None]:
            return self._map_outputs.read(path, file, offset=offset, length_bytes=length_bytes)

        with self._tasks.stream():
            return await send_bytes(request, size_bytes, read, self._settings.write_timeout_s)

    def _check_owner(self, request: web.Request, task_or_attempt: str) -> None:
        job = self._service.job(job_of(task_or_attempt))
        request[CALLER].check_owner(f"job {job.id}", job.spec.user)

    def _sized(self, digest: str) -> ArtifactBytesView:
        """Blocking. ObjectNotFound."""
        try:
            return ArtifactBytesView(digest=digest, size=self._artifacts.path(digest).stat().st_size)
        except FileNotFoundError:
            raise ObjectNotFound(f"The bytes of artifact {digest[:12]} are there no more.") from None


async def _file_bytes(path: Path, offset: int, length_bytes: int) -> AsyncGenerator[bytes, None]:
    descriptor = await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = offset + length_bytes
        while offset < end:
            chunk = await asyncio.to_thread(os.pread, descriptor, min(_READ_BYTES, end - offset), offset)
            if not chunk:
                raise ObjectNotFound("The artifact's bytes end early.")
            offset += len(chunk)
            yield chunk
    finally:
        os.close(descriptor)
