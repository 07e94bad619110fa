"""Submitting, listing, showing and stopping jobs; their tasks and counters."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from apollo_common.errors import UnknownJob
from apollo_common.ids import JobId
from apollo_coordinator.api.access import CALLER
from apollo_coordinator.api.audit import JOB
from apollo_coordinator.api.problem import ApiProblem, FieldError, invalid
from apollo_coordinator.api.routing import Answer, Route, link_page, page, unknown_cursor
from apollo_coordinator.api.schemas import MAX_IDEMPOTENCY_KEY, JobBody, JobsQuery, PageQuery
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.submission import check, digest_body, resolve
from apollo_coordinator.api.viewing import (
    view_counters,
    view_explanation,
    view_failure_group,
    view_job,
    view_program,
    view_task,
    view_timings,
)
from apollo_coordinator.api.views import (
    CountersView,
    ExplanationView,
    FailureGroupView,
    JobView,
    ProgramView,
    SubmittedView,
    TaskView,
    TimingsView,
)
from apollo_coordinator.callers import Caller, Role
from apollo_coordinator.core.model import Job
from apollo_coordinator.core.spec import ProgramRef
from apollo_coordinator.jobs import JobService
from apollo_coordinator.ports import ArtifactStore

IDEMPOTENCY_KEY = "Idempotency-Key"
MAX_SEARCHED_PATHS = 100
_JOB = "/api/v1/jobs/{id}"


class JobRoutes:
    def __init__(self, service: JobService, artifacts: ArtifactStore, settings: ApiSettings) -> None:
        self._service = service
        self._artifacts = artifacts
        self._settings = settings

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/api/v1/jobs",
                self.submit,
                "Submit a job",
                content=SubmittedView,
                status=201,
                also={200: "The job that this idempotency key made before"},
                problems=(400, 404, 408, 409, 413, 422, 429, 502, 503, 507),
                body=JobBody,
                headers={IDEMPOTENCY_KEY: "Makes a repeated request safe: the same key and body give the same job"},
                role=Role.SUBMITTER,
                finishes=True,
            ),
            Route(
                "GET",
                "/api/v1/jobs",
                self.list_all,
                "List jobs",
                content=list[JobView],
                query=JobsQuery,
                problems=(422,),
            ),
            Route("GET", _JOB, self.show, "Show a job", content=JobView, problems=(404,)),
            Route(
                "DELETE",
                _JOB,
                self.stop,
                "Stop a job of one's own; an admin stops any",
                content=JobView,
                problems=(404, 409),
                role=Role.SUBMITTER,
                finishes=True,
            ),
            Route(
                "GET",
                f"{_JOB}/tasks",
                self.tasks,
                "List a job's tasks",
                content=list[TaskView],
                query=PageQuery,
                problems=(404, 422),
            ),
            Route(
                "GET",
                f"{_JOB}/failures",
                self.failures,
                "A job's failed attempts by their cause, in order of each cause's first",
                content=list[FailureGroupView],
                query=PageQuery,
                problems=(404, 422),
            ),
            Route(
                "GET",
                f"{_JOB}/counters",
                self.counters,
                "A job's counters by group and name",
                content=CountersView,
                problems=(404,),
            ),
            Route(
                "GET",
                f"{_JOB}/timings",
                self.timings,
                "Where the time of a job's attempts went: milliseconds by phase and step",
                content=TimingsView,
                problems=(404,),
            ),
            Route(
                "GET",
                f"{_JOB}/explanation",
                self.explanation,
                "Why a job is, or was, as slow as that: at most ten lines, the most important one first",
                content=ExplanationView,
                problems=(404,),
            ),
        ]

    async def submit(self, request: web.Request, body: JobBody) -> Answer:
        await check(body, self._settings)
        caller = request[CALLER]
        key = idempotency_key(request, caller)
        digest = await asyncio.to_thread(digest_body, await request.read(), key) if key else ""
        earlier = self._service.submitted(key, digest) if key else None
        if earlier is not None:
            request[JOB] = earlier.id
            return await submitted(earlier, self._artifacts, self._settings, created=False)
        refuse_unready(self._service)
        submission = await resolve(body, self._artifacts, user=caller.user, idempotency_key=key, body_digest=digest)
        with self._artifacts.pinned([info.digest for info in submission.artifacts.values()]):
            new = await self._service.submit(submission.spec, submission.secrets)
        request[JOB] = new.job.id
        return await submitted(new.job, self._artifacts, self._settings, created=new.created)

    async def list_all(self, request: web.Request, query: JobsQuery) -> Answer:
        after = None
        if query.after is not None:
            try:
                after = self._service.job(JobId(query.after)).id
            except UnknownJob as error:
                raise unknown_cursor() from error
        jobs = self._service.jobs(
            after=after, limit=query.limit + 1, newest_first=query.order == "newest", wanted=_wanted(query)
        )
        answer = link_page(request, jobs, query, lambda job: job.id)
        return Answer([self._view(job) for job in answer.content], headers=answer.headers)

    def _view(self, job: Job) -> JobView:
        return view_job(job, self._settings.intermediate_url)

    async def show(self, request: web.Request) -> JobView:
        return self._view(self._service.job(_job_id(request)))

    async def stop(self, request: web.Request) -> JobView:
        job = self._service.job(_job_id(request))
        request[CALLER].check_owner(f"job {job.id}", job.spec.user)
        return self._view(await self._service.stop(job.id))

    async def tasks(self, request: web.Request, query: PageQuery) -> Answer:
        job = self._service.job(_job_id(request))
        pods = {str(worker.id): worker.pod_name for worker in self._service.workers() if worker.pod_name}
        answer = page(request, await self._service.tasks(job.id), query, lambda task: task.id)
        return Answer([view_task(task, job.spec, pods) for task in answer.content], headers=answer.headers)

    async def failures(self, request: web.Request, query: PageQuery) -> Answer:
        groups = list(self._service.job(_job_id(request)).failures.values())
        answer = page(request, groups, query, lambda group: group.fingerprint)
        return Answer([view_failure_group(group) for group in answer.content], headers=answer.headers)

    async def counters(self, request: web.Request) -> CountersView:
        return view_counters(self._service.counters(_job_id(request)))

    async def timings(self, request: web.Request) -> TimingsView:
        return view_timings(self._service.timings(_job_id(request)))

    async def explanation(self, request: web.Request) -> ExplanationView:
        return view_explanation(await self._service.explanation(_job_id(request)))


async def submitted(job: Job, artifacts: ArtifactStore, settings: ApiSettings, *, created: bool) -> Answer:
    """What tells of a job that a request has made, now or when it was sent before."""

    async def program(ref: ProgramRef) -> ProgramView:
        return view_program(ref, await artifacts.get(ref.name))

    content = SubmittedView(
        job=view_job(job, settings.intermediate_url),
        m_program=await program(job.spec.mapper),
        r_program=await program(job.spec.reducer) if job.spec.reducer else None,
    )
    return Answer(content, 201 if created else 200, {"Location": f"/api/v1/jobs/{job.id}"})


def refuse_unready(service: JobService) -> None:
    """503 while no jobs are taken. What a full volume means, `submit` says."""
    if not service.ready and not service.full:
        raise ApiProblem(503, "The coordinator takes no jobs now.", reason="not_ready", headers={"Retry-After": "5"})


def _job_id(request: web.Request) -> JobId:
    return JobId(request.match_info["id"])


def _wanted(query: JobsQuery) -> Callable[[Job], bool] | None:
    if query.status is None and not query.search:
        return None
    searched = query.search.casefold()

    def wanted(job: Job) -> bool:
        spec = job.spec
        texts = (job.id, spec.name, spec.user, spec.output_path, *spec.input_paths[:MAX_SEARCHED_PATHS])
        return query.status in (None, job.status) and any(searched in text.casefold() for text in texts)

    return wanted


def idempotency_key(request: web.Request, caller: Caller) -> str:
    """Users' keys are apart: one who knows another's key does not get the other's job."""
    keys = request.headers.getall(IDEMPOTENCY_KEY, [])
    if not keys:
        return ""
    if len(keys) > 1 or not 1 <= len(keys[0]) <= MAX_IDEMPOTENCY_KEY or not keys[0].isprintable():
        fix = f"Send it once, with 1 to {MAX_IDEMPOTENCY_KEY} printable characters, such as a UUID."
        raise invalid(FieldError(field=IDEMPOTENCY_KEY, message="This is no idempotency key.", fix=fix))
    return f"{caller.user}\n{keys[0]}" if caller.user else keys[0]
