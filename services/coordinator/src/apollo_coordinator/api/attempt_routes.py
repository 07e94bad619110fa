"""Attempts of a task, what their programs wrote to standard error, and the workers."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from aiohttp import web

from apollo_common.ids import AttemptId, TaskId
from apollo_coordinator.api.routing import Answer, Route, page
from apollo_coordinator.api.schemas import LogQuery, PageQuery
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.streaming import cut
from apollo_coordinator.api.tasks import OwnedTasks
from apollo_coordinator.api.viewing import view_attempt, view_worker
from apollo_coordinator.api.views import AttemptView, WorkerView
from apollo_coordinator.core.model import Attempt
from apollo_coordinator.jobs import JobService
from apollo_coordinator.ports import LogStore


class AttemptRoutes:
    def __init__(self, service: JobService, logs: LogStore, settings: ApiSettings, tasks: OwnedTasks) -> None:
        self._service = service
        self._logs = logs
        self._settings = settings
        self._tasks = tasks

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/api/v1/tasks/{id}/attempts",
                self.attempts,
                "List a task's attempts",
                content=list[AttemptView],
                query=PageQuery,
                problems=(404, 422),
            ),
            Route(
                "GET",
                "/api/v1/attempts/{id}/logs",
                self.logs,
                "What an attempt's program wrote to standard error: the first and last 5 MB",
                produces="text/plain",
                query=LogQuery,
                problems=(404, 422, 503),
                streams=True,
            ),
            Route(
                "GET",
                "/api/v1/workers",
                self.workers,
                "List workers",
                content=list[WorkerView],
                query=PageQuery,
                problems=(422,),
            ),
        ]

    async def attempts(self, request: web.Request, query: PageQuery) -> Answer:
        task = await self._service.task(TaskId(request.match_info["id"]))
        pods = {str(worker.id): worker.pod_name for worker in self._service.workers() if worker.pod_name}
        answer = page(request, task.attempts, query, lambda attempt: attempt.id)
        return Answer([view_attempt(attempt, pods) for attempt in answer.content], headers=answer.headers)

    async def workers(self, request: web.Request, query: PageQuery) -> Answer:
        answer = page(request, self._service.workers(), query, lambda worker: worker.id)
        return Answer([view_worker(worker) for worker in answer.content], headers=answer.headers)

    async def logs(self, request: web.Request, query: LogQuery) -> web.StreamResponse:
        attempt = await self._service.attempt(AttemptId(request.match_info["id"]))
        if not query.follow or attempt.status.ended:
            content = await self._logs.read(attempt.id)
            return web.Response(body=content or b"", content_type="text/plain", charset="utf-8")
        with self._tasks.stream():
            return await self._follow(request, attempt)

    async def _follow(self, request: web.Request, attempt: Attempt) -> web.StreamResponse:
        response = web.StreamResponse(headers={"X-Content-Type-Options": "nosniff"})
        response.content_type, response.charset = "text/plain", "utf-8"
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            async with aclosing(self._chunks(attempt.id)) as chunks:
                async for chunk in chunks:
                    async with asyncio.timeout(self._settings.write_timeout_s):
                        await response.write(chunk)
            await response.write_eof()
        except Exception as error:  # noqa: BLE001 - the answer has begun; no problem document can follow
            cut(request, error)
        return response

    async def _chunks(self, attempt: AttemptId) -> AsyncGenerator[bytes, None]:
        """What is there and what comes. Ends also when the attempt has ended unheard, as after a lost worker."""
        if (await self._service.attempt(attempt)).status.ended:
            yield await self._logs.read(attempt) or b""
            return
        async with aclosing(cast(AsyncGenerator[bytes, None], self._logs.follow(attempt))) as following:
            while True:
                step = asyncio.ensure_future(anext(following, b""))
                try:
                    while not (await asyncio.wait({step}, timeout=self._settings.ping_s))[0]:
                        if (await self._service.attempt(attempt)).status.ended:
                            return
                    if not (chunk := step.result()):
                        return
                finally:
                    step.cancel()
                    await asyncio.wait({step})
                yield chunk
