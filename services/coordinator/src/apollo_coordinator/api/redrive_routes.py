"""Mapping a job's bad records again, by a better mapper, into a new output."""

import asyncio
import json

from aiohttp import web

from apollo_common.ids import JobId
from apollo_coordinator.api.access import CALLER
from apollo_coordinator.api.audit import JOB
from apollo_coordinator.api.job_routes import IDEMPOTENCY_KEY, idempotency_key, refuse_unready, submitted
from apollo_coordinator.api.redriving import check_redrive, resolve_redrive
from apollo_coordinator.api.routing import Answer, Route
from apollo_coordinator.api.schemas import RedriveBody
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.submission import digest_body
from apollo_coordinator.api.views import SubmittedView
from apollo_coordinator.callers import Role
from apollo_coordinator.jobs import JobService
from apollo_coordinator.ports import ArtifactStore


class RedriveRoutes:
    def __init__(self, service: JobService, artifacts: ArtifactStore, settings: ApiSettings) -> None:
        self._service = service
        self._artifacts = artifacts
        self._settings = settings

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/api/v1/jobs/{id}/redrive",
                self.redrive,
                "Map the bad records of a job of one's own again, and reduce its map outputs with theirs",
                content=SubmittedView,
                status=201,
                also={200: "The job that this idempotency key made before"},
                problems=(400, 404, 408, 409, 413, 422, 429, 502, 503, 507),
                body=RedriveBody,
                headers={IDEMPOTENCY_KEY: "Makes a repeated request safe: the same key and body give the same job"},
                role=Role.SUBMITTER,
                finishes=True,
            )
        ]

    async def redrive(self, request: web.Request, body: RedriveBody) -> Answer:
        job, caller = self._service.job(JobId(request.match_info["id"])), request[CALLER]
        caller.check_owner(f"job {job.id}", job.spec.user)
        key = idempotency_key(request, caller)
        digest = await asyncio.to_thread(_digest, await request.read(), job.id, key) if key else ""
        earlier = self._service.submitted(key, digest) if key else None
        if earlier is not None:
            request[JOB] = earlier.id
            return await submitted(earlier, self._artifacts, self._settings, created=False)
        refuse_unready(self._service)
        await check_redrive(body, job.spec, self._settings)
        failed = await self._service.mapper_to_redrive(job.id, remap=body.remap)
        submission = await resolve_redrive(
            body, job, failed, self._artifacts, user=caller.user, idempotency_key=key, body_digest=digest
        )
        with self._artifacts.pinned(submission.spec.artifact_digests):
            new = await self._service.submit(submission.spec, submission.secrets)
        request[JOB] = new.job.id
        return await submitted(new.job, self._artifacts, self._settings, created=new.created)


def _digest(raw: bytes, job: JobId, key: str) -> str:
    """The same body redrives different jobs."""
    return digest_body(json.dumps({"redriveOf": job, "body": json.loads(raw)}).encode(), key)
