"""Uploading, listing and deleting artifacts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from aiohttp import BodyPartReader, MultipartReader, web

from apollo_common.errors import ArtifactTooLarge, ObjectNotFound, VolumeFull
from apollo_common.volumes import Volume, shortage
from apollo_coordinator.api.access import CALLER
from apollo_coordinator.api.audit import ARTIFACT
from apollo_coordinator.api.problem import ApiProblem, FieldError, invalid
from apollo_coordinator.api.routing import Answer, Route, page
from apollo_coordinator.api.schemas import PageQuery, UploadQuery
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.viewing import view_artifact
from apollo_coordinator.api.views import ArtifactView
from apollo_coordinator.callers import Role
from apollo_coordinator.jobs import JobService
from apollo_coordinator.ports import ArtifactInfo, ArtifactStore

UPLOAD_FIELD = "program"
_CHUNK_BYTES = 256 << 10
_MULTIPART_OVERHEAD_BYTES = 64 << 10
_NAME = "{name:[^/]+}"

Read = TypeVar("Read")


class ArtifactRoutes:
    def __init__(self, artifacts: ArtifactStore, service: JobService, settings: ApiSettings) -> None:
        self._artifacts = artifacts
        self._service = service
        self._settings = settings

    def routes(self) -> list[Route]:
        return [
            Route(
                "PUT",
                "/api/v1/artifacts",
                self.upload,
                "Upload an artifact under its file name; the same name again replaces it, if it is one's own",
                content=ArtifactView,
                query=UploadQuery,
                upload_field=UPLOAD_FIELD,
                role=Role.SUBMITTER,
                problems=(408, 413, 422, 507),
            ),
            Route(
                "GET",
                "/api/v1/artifacts",
                self.list_all,
                "List artifacts",
                content=list[ArtifactView],
                query=PageQuery,
                problems=(422,),
            ),
            Route(
                "GET",
                f"/api/v1/artifacts/{_NAME}",
                self.show,
                "Show an artifact",
                content=ArtifactView,
                problems=(404,),
            ),
            Route(
                "DELETE",
                f"/api/v1/artifacts/{_NAME}",
                self.delete,
                "Delete an artifact of one's own that no unfinished job uses; an admin deletes any",
                status=204,
                problems=(404, 409),
                role=Role.SUBMITTER,
                finishes=True,
            ),
        ]

    async def upload(self, request: web.Request, query: UploadQuery) -> ArtifactView:
        if self._service.full:  # what is left is for the jobs that run
            raise VolumeFull(shortage(Volume.COORDINATOR), volume=Volume.COORDINATOR)
        limit = self._settings.max_upload_bytes
        if (request.content_length or 0) > limit + _MULTIPART_OVERHEAD_BYTES:
            raise ApiProblem(413, f"The upload is larger than {limit} bytes.", reason="artifact_too_large", close=True)
        try:
            async with asyncio.timeout(self._settings.upload_timeout_s):
                reader, part = await self._program_part(request)
                request[ARTIFACT] = name = part.filename or ""
                info = await self._artifacts.receive(
                    name, self._content(reader, part), kind=query.type, caller=request[CALLER]
                )
        except TimeoutError as error:
            raise _too_slow() from error
        except (ValueError, AssertionError, web.RequestPayloadError) as error:
            # aiohttp's multipart reader reports damage, and a body cut before its last boundary, in these ways.
            problem = _not_multipart("The multipart body is damaged or incomplete.")
            problem.close = True
            raise problem from error
        except ArtifactTooLarge as error:
            raise ApiProblem(413, str(error), reason=error.reason, close=True) from error
        await self._artifacts.collect(self._service.artifact_needed)
        return view_artifact(info)

    async def list_all(self, request: web.Request, query: PageQuery) -> Answer:
        answer = page(request, await self._artifacts.all(), query, lambda info: info.name)
        return Answer([view_artifact(info) for info in answer.content], headers=answer.headers)

    async def show(self, request: web.Request) -> ArtifactView:
        return view_artifact(await self._get(request))

    async def delete(self, request: web.Request) -> Answer:
        info = await self._get(request)
        request[CALLER].check_owner(f"artifact {info.name!r}", info.user)
        if self._service.artifact_in_use(info.digest):
            detail = f"A job that has not ended uses artifact {info.name!r}. Stop the job or wait for it."
            raise ApiProblem(409, detail, reason="artifact_in_use")
        await self._artifacts.delete(info.name)
        await self._artifacts.collect(self._service.artifact_needed)
        return Answer(status=204)

    async def _get(self, request: web.Request) -> ArtifactInfo:
        name = request.match_info["name"]
        info = await self._artifacts.get(name)
        if info is None:
            raise ObjectNotFound(f"There is no artifact {name!r}.")
        return info

    async def _program_part(self, request: web.Request) -> tuple[MultipartReader, BodyPartReader]:
        if request.content_type != "multipart/form-data":
            raise _not_multipart("An upload is multipart/form-data.")
        reader = await request.multipart()
        part = await self._in_time(reader.next())
        if part is None:
            raise _not_multipart("The upload holds no field.")
        if not isinstance(part, BodyPartReader) or part.name != UPLOAD_FIELD:
            raise _not_multipart("The upload holds another field.")
        if not part.filename:
            fix = "Send the file's name with the field: it becomes the artifact's name."
            raise invalid(FieldError(field=UPLOAD_FIELD, message="The field has no file name.", fix=fix))
        return reader, part

    async def _content(self, reader: MultipartReader, part: BodyPartReader) -> AsyncIterator[bytes]:
        """The file's bytes. Raises, before it ends, unless the form is complete and holds nothing else."""
        while chunk := await self._in_time(part.read_chunk(_CHUNK_BYTES)):
            yield bytes(chunk)
        if await self._in_time(reader.next()) is not None:
            raise _not_multipart("The upload holds more than one field.")

    async def _in_time(self, read: Awaitable[Read]) -> Read:
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                return await read
        except TimeoutError as error:
            raise _too_slow() from error


def _too_slow() -> ApiProblem:
    return ApiProblem(408, "The upload did not arrive in time.", close=True)


def _not_multipart(message: str) -> ApiProblem:
    field = UPLOAD_FIELD
    fix = f"Send multipart/form-data with one file in the field {field}, as curl -X PUT -F {field}=@FILE does."
    return invalid(FieldError(field=field, message=message, fix=fix))
