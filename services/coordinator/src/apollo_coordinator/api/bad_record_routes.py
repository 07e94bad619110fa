"""What a job has skipped: its bad records, and the bytes of each."""

from aiohttp import web

from apollo_common.errors import UnknownJob
from apollo_common.ids import JobId
from apollo_coordinator.api.routing import Answer, Route, link_page, unknown_cursor
from apollo_coordinator.api.schemas import PageQuery
from apollo_coordinator.api.viewing import view_bad_record
from apollo_coordinator.api.views import BadRecordView
from apollo_coordinator.jobs import JobBadRecord, JobService

_BAD_RECORDS = "/api/v1/jobs/{id}/bad-records"
_MAX_DIGITS = 6


class BadRecordRoutes:
    def __init__(self, service: JobService) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                _BAD_RECORDS,
                self.list_all,
                "List the records that a job has skipped",
                content=list[BadRecordView],
                query=PageQuery,
                problems=(404, 422),
            ),
            Route(
                "GET",
                f"{_BAD_RECORDS}/{{number}}",
                self.content,
                "The bytes of a record that a job has skipped, as its mapper got them, without what ends a line",
                produces="application/octet-stream",
                problems=(404,),
            ),
        ]

    async def list_all(self, request: web.Request, query: PageQuery) -> Answer:
        job = self._service.job(JobId(request.match_info["id"])).id
        found = await self._service.bad_records(job, after=_after(query), limit=query.limit + 1)
        answer = link_page(request, found, query, lambda record: str(record.number))
        return Answer([view_bad_record(record) for record in answer.content], headers=answer.headers)

    async def content(self, request: web.Request) -> web.Response:
        found = await self._found(JobId(request.match_info["id"]), request.match_info["number"])
        return web.Response(
            body=found.record.content,
            content_type="application/octet-stream",
            headers={"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"},
        )

    async def _found(self, job: JobId, number: str) -> JobBadRecord:
        if not number.isascii() or not number.isdecimal() or len(number) > _MAX_DIGITS:
            raise UnknownJob(f"job {self._service.job(job).id} has no bad record {number[:_MAX_DIGITS]!r}")
        return await self._service.bad_record(job, int(number))


def _after(query: PageQuery) -> int:
    after = query.after or "0"
    if not after.isascii() or not after.isdecimal() or len(after) > _MAX_DIGITS:
        raise unknown_cursor()
    return int(after)
