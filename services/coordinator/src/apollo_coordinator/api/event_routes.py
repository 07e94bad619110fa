"""A job's story, and what changes about all jobs and workers, as server-sent events (WHATWG HTML, section 9.2)."""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import NamedTuple, TypeVar, cast

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from apollo_common.ids import JobId
from apollo_common.logging import get_logger
from apollo_coordinator.api.problem import FieldError, invalid
from apollo_coordinator.api.routing import Route
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.tasks import OwnedTasks
from apollo_coordinator.api.viewing import view_job, view_worker
from apollo_coordinator.api.views import ChangesView
from apollo_coordinator.jobs import Changes, JobEvent, JobService

LAST_EVENT_ID = "Last-Event-ID"
CHANGES = "changes"
Item = TypeVar("Item")
_log = get_logger(__name__)


class _Message(NamedTuple):
    event: str
    data: str
    id: str | None = None


class EventRoutes:
    def __init__(self, service: JobService, settings: ApiSettings, tasks: OwnedTasks) -> None:
        self._service = service
        self._settings = settings
        self._tasks = tasks

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/api/v1/jobs/{id}/events",
                self.events,
                "What happens to a job, until it has ended. Progress events have no id and are not told again",
                produces="text/event-stream",
                headers={LAST_EVENT_ID: "Goes on after this event"},
                problems=(404, 422, 503),
                streams=True,
            ),
            Route(
                "GET",
                "/api/v1/events",
                self.changes,
                "Jobs and workers as they change, from now on without end. What happened while the connection was "
                "lost is not told: list them anew",
                content=ChangesView,
                produces="text/event-stream",
                problems=(503,),
                streams=True,
            ),
        ]

    async def events(self, request: web.Request) -> web.StreamResponse:
        job = self._service.job(JobId(request.match_info["id"]))
        return await self._stream(request, self._story(job.id, _last_event_id(request)))

    async def changes(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, self._changes())

    async def _stream(self, request: web.Request, messages: AsyncGenerator[_Message, None]) -> web.StreamResponse:
        with self._tasks.stream():
            response = EventSourceResponse(
                ping_interval=self._settings.ping_s, send_timeout=self._settings.write_timeout_s, sep="\n"
            )
            await response.prepare(request)
            try:
                async with response, aclosing(messages):
                    async for message in messages:
                        await response.send(message.data, event=message.event, id=message.id)
                await response.write_eof()
            except Exception as error:  # noqa: BLE001 - the answer has begun; no problem document can follow
                if not isinstance(error, (ConnectionError, TimeoutError)):
                    _log.error("stream failed", path=request.path, exc_info=error)
                if request.transport is not None:
                    request.transport.abort()
            return response

    async def _story(self, job: JobId, after: int) -> AsyncGenerator[_Message, None]:
        async with aclosing(_generator(self._service.events(job, after=after))) as events:
            async for event in events:
                yield _Message(event.kind, self._data(job, event), str(event.id) if event.id else None)

    def _data(self, job: JobId, event: JobEvent) -> str:
        document = {"id": event.id, "kind": event.kind, "time": event.at_ms, **event.body}
        if event.last:
            document["status"] = self._service.job(job).status.value
        return json.dumps(document, separators=(",", ":"))

    async def _changes(self) -> AsyncGenerator[_Message, None]:
        async with aclosing(_generator(self._service.changes())) as told:
            async for changes in told:
                yield _Message(CHANGES, self._view(changes).model_dump_json(by_alias=True))

    def _view(self, changes: Changes) -> ChangesView:
        return ChangesView(
            jobs=[view_job(job, self._settings.intermediate_url) for job in changes.jobs],
            workers=[view_worker(worker) for worker in changes.workers],
            gone_jobs=list(changes.gone_jobs),
            gone_workers=list(changes.gone_workers),
        )


def _generator(events: AsyncIterator[Item]) -> AsyncGenerator[Item, None]:
    """What the service's streams are, so that they can be closed."""
    return cast("AsyncGenerator[Item, None]", events)


def _last_event_id(request: web.Request) -> int:
    text = request.headers.get(LAST_EVENT_ID, "")
    if not text:
        return 0
    if not re.fullmatch(r"[0-9]{1,15}", text):
        fix = "Send the id of the last event you have, or leave it out."
        raise invalid(FieldError(field=LAST_EVENT_ID, message="This is no event's id.", fix=fix))
    return int(text)
