"""A job's story as server-sent events (WHATWG HTML, section 9.2)."""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from apollo_common.ids import JobId
from apollo_common.logging import get_logger
from apollo_coordinator.api.problem import FieldError, invalid
from apollo_coordinator.api.routing import Route
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.tasks import OwnedTasks
from apollo_coordinator.jobs import JobEvent, JobService

LAST_EVENT_ID = "Last-Event-ID"
_log = get_logger(__name__)


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
            )
        ]

    async def events(self, request: web.Request) -> web.StreamResponse:
        job = self._service.job(JobId(request.match_info["id"]))
        after = _last_event_id(request)
        with self._tasks.stream():
            response = EventSourceResponse(
                ping_interval=self._settings.ping_s, send_timeout=self._settings.write_timeout_s, sep="\n"
            )
            await response.prepare(request)
            try:
                story = cast(AsyncGenerator[JobEvent, None], self._service.events(job.id, after=after))
                async with response, aclosing(story) as events:
                    async for event in events:
                        await response.send(
                            self._data(job.id, event), event=event.kind, id=str(event.id) if event.id else None
                        )
                await response.write_eof()
            except Exception as error:  # noqa: BLE001 - the answer has begun; no problem document can follow
                if not isinstance(error, (ConnectionError, TimeoutError)):
                    _log.error("stream failed", path=request.path, exc_info=error)
                if request.transport is not None:
                    request.transport.abort()
            return response

    def _data(self, job: JobId, event: JobEvent) -> str:
        document = {"id": event.id, "kind": event.kind, "time": event.at_ms, **event.body}
        if event.last:
            document["status"] = self._service.job(job).status.value
        return json.dumps(document, separators=(",", ":"))


def _last_event_id(request: web.Request) -> int:
    text = request.headers.get(LAST_EVENT_ID, "")
    if not text:
        return 0
    if not re.fullmatch(r"[0-9]{1,15}", text):
        fix = "Send the id of the last event you have, or leave it out."
        raise invalid(FieldError(field=LAST_EVENT_ID, message="This is no event's id.", fix=fix))
    return int(text)
