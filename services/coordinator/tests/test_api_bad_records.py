"""Bad records over the HTTP API: a list in pages, and the bytes of each."""

import pytest

from apollo_common.ids import JobId, attempt_id, map_task_id
from apollo_coordinator.core.model import Attempt, AttemptStatus, Task, TaskKind, TaskStatus
from apollo_coordinator.order import BadRecord
from support.api_jobs import submit, upload_programs
from support.api_server import running_api


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path) as running:
        await upload_programs(running)
        yield running


async def a_job_with(api, *contents: bytes) -> str:
    """A job whose only map has skipped these."""
    _, document = await submit(api, maxBadRecords=10)
    job = api.jobs.job(JobId(document["job"]["id"]))
    task = map_task_id(job.id, 0)
    attempt = Attempt(attempt_id(task, 2), "w0", 1, status=AttemptStatus.SUCCEEDED)
    counters = {"apollo": {"bad_records": len(contents)}}
    job.maps = [
        Task(task, 0, TaskKind.MAP, TaskStatus.COMPLETED, attempts=[attempt], accepted=attempt.id, counters=counters)
    ]
    job.counters = counters
    for number, content in enumerate(contents, 1):
        bad = BadRecord(
            *(number, "s3://in/a.txt", 100 * number, len(content), content, True, "program_exited", "ended with 1"),
            **({"exit_status": 1} if number == 1 else {"signal": 9}),
            stderr_tail="no number\n",
        )
        await api.jobs.quarantine.put(attempt.id, bad)
    return job.id


async def test_the_list_says_where_each_is_and_why(api):
    job = await a_job_with(api, b"a,b\xff", b"x" * 1000)
    status, (first, second) = await api.call("GET", f"/api/v1/jobs/{job}/bad-records")
    assert status == 200
    assert first == {
        "number": 1,
        "task": f"{job}-m-00000",
        "attempt": f"{job}-m-00000-2",
        "input": "s3://in/a.txt",
        "offset": 100,
        "size": 4,
        "reason": "program_exited",
        "message": "ended with 1",
        "exitStatus": 1,
        "stderr": "no number\n",
        "preview": "a,b\N{REPLACEMENT CHARACTER}",
    }
    assert (second["number"], second["size"], second["signal"], len(second["preview"])) == (2, 1000, 9, 200)
    assert "exitStatus" not in second


async def test_the_list_comes_in_pages(api):
    job = await a_job_with(api, b"1", b"2", b"3")
    seen, path = [], f"/api/v1/jobs/{job}/bad-records?limit=2"
    while path:
        async with api.http.get(path) as answer:
            seen.append([record["preview"] for record in await answer.json()])
            path = answer.links["next"]["url"] if "next" in answer.links else None
    assert seen == [["1", "2"], ["3"]]


async def test_the_bytes_come_as_they_are(api):
    job = await a_job_with(api, b"<script>\xff\0", b"")
    async with api.http.get(f"/api/v1/jobs/{job}/bad-records/1") as answer:
        assert (answer.status, answer.content_type) == (200, "application/octet-stream")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await answer.read() == b"<script>\xff\0"
    async with api.http.get(f"/api/v1/jobs/{job}/bad-records/2") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.parametrize("number", ["0", "2", "-1", "x", "1.0", "9999999", "\N{ARABIC-INDIC DIGIT ONE}"])
async def test_a_number_that_none_has_is_404(api, number):
    job = await a_job_with(api, b"1")
    status, problem = await api.call("GET", f"/api/v1/jobs/{job}/bad-records/{number}")
    assert (status, problem["type"]) == (404, "urn:apollo:problem:unknown_job")


@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=99999999", "limit=0"])
async def test_a_wrong_page_is_422(api, query):
    job = await a_job_with(api, b"1")
    status, problem = await api.call("GET", f"/api/v1/jobs/{job}/bad-records?{query}")
    assert (status, problem["errors"][0]["field"]) == (422, query.partition("=")[0])


async def test_the_job_says_how_many(api):
    job = await a_job_with(api, b"1", b"2")
    _, document = await api.call("GET", f"/api/v1/jobs/{job}")
    assert (document["badRecords"], document["maxBadRecords"], document["keepIntermediate"]) == (2, 10, False)
