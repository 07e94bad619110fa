"""Server-sent events and logs that are followed, on a real server."""

import asyncio
import json

import pytest

from apollo_common.ids import JobId, WorkerId, attempt_id
from apollo_common.storage.policy import StorePolicy
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.core.model import AttemptStatus, JobStatus, Worker
from apollo_coordinator.jobs import Changes
from support.api_server import running_api

BODY = {"inputPath": "s3://in/a", "outputPath": "s3://out/b", "mapperName": "shell:cat", "nReducers": 0}
SETTINGS = ApiSettings(store_policy=StorePolicy(), ping_s=0.05, max_streams=3)


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path, SETTINGS) as running:
        yield running


@pytest.fixture
async def job(api):
    _, answer = await api.call("POST", "/api/v1/jobs", json=BODY)
    job = api.jobs.job(JobId(answer["job"]["id"]))
    api.jobs.start(job, maps=1, reduces=0)
    return job


def parse_events(text):
    """Events as (id, event, data): the fields of WHATWG HTML 9.2.6, comments left out."""
    events = []
    for block in text.split("\n\n"):
        found = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if found:
            events.append((found.get("id"), found["event"], json.loads(found["data"])))
    return events


async def read_events(api, job, **headers):
    async with asyncio.timeout(20), api.http.get(f"/api/v1/jobs/{job.id}/events", headers=headers) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        return parse_events(await answer.text())


async def test_events_are_told_until_the_end_state(api, job):
    reading = asyncio.create_task(read_events(api, job))
    await asyncio.sleep(0.1)
    api.jobs.tell(job, "task_completed", task="t1")
    await asyncio.sleep(0.1)
    api.jobs.end(job, JobStatus.SUCCEEDED)
    events = await reading
    assert [event[:2] for event in events] == [
        ("1", "job_submitted"),
        ("2", "job_started"),
        ("3", "task_completed"),
        ("4", "job_ended"),
    ]
    assert events[2][2]["task"] == "t1"
    assert events[3][2]["status"] == "succeeded"
    assert await read_events(api, job) == events


async def test_last_event_id_resumes_without_a_gap(api, job):
    api.jobs.tell(job, "task_completed")
    api.jobs.end(job, JobStatus.FAILED)
    whole = await read_events(api, job)
    for last in range(5):
        assert await read_events(api, job, **{"Last-Event-ID": str(last)}) == whole[last:]


async def test_changes_are_told_as_the_lists_show_them(api, job):
    worker = Worker(WorkerId("w1"), "10.0.0.1:8090", joined_ms=5, heard_ms=6)
    async with asyncio.timeout(20), api.http.get("/api/v1/events") as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        api.jobs.changed.put_nowait(Changes(jobs=(job,), workers=(worker,)))
        api.jobs.changed.put_nowait(Changes(gone_jobs=(job.id,), gone_workers=(worker.id,)))
        text = ""
        while len(events := parse_events(text.rpartition("\n\n")[0])) < 2:
            text += (await answer.content.readany()).decode()
    api.jobs.given_workers.append(worker)
    assert events == [
        (
            None,
            "changes",
            {
                "jobs": (await api.call("GET", "/api/v1/jobs"))[1],
                "workers": (await api.call("GET", "/api/v1/workers"))[1],
                "goneJobs": [],
                "goneWorkers": [],
            },
        ),
        (None, "changes", {"jobs": [], "workers": [], "goneJobs": [job.id], "goneWorkers": ["w1"]}),
    ]


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 20])
async def test_a_wrong_last_event_id_is_422(api, job, last):
    status, problem = await api.call("GET", f"/api/v1/jobs/{job.id}/events", headers={"Last-Event-ID": last})
    assert (status, problem["errors"][0]["field"]) == (422, "Last-Event-ID")


async def test_a_silent_stream_sends_comments(api, job):
    async with asyncio.timeout(20), api.http.get(f"/api/v1/jobs/{job.id}/events") as answer:
        async for line in answer.content:
            if line.startswith(b":"):
                break


async def test_a_stream_ends_with_its_client_and_makes_room(api, job):
    for _ in range(10):  # more than the limit, one after the other
        async with api.http.get(f"/api/v1/jobs/{job.id}/events") as answer:
            await answer.content.readline()
            answer.close()
        await asyncio.sleep(0.05)
    status = 503
    async with asyncio.timeout(20):
        while status != 200:  # the server may hear of the last ones a moment later
            async with api.http.get(f"/api/v1/jobs/{job.id}/events") as answer:
                status = answer.status
            await asyncio.sleep(0.01)


async def test_too_many_streams_are_503(api, job):
    path = f"/api/v1/jobs/{job.id}/events"
    async with api.http.get(path), api.http.get(path), api.http.get(path):
        assert (await api.call("GET", path))[0] == 503


async def test_closing_the_server_ends_streams_at_once(tmp_path):
    slow = ApiSettings(store_policy=StorePolicy(), shutdown_s=60)
    async with asyncio.timeout(20):
        async with running_api(tmp_path, slow) as api:
            _, answer = await api.call("POST", "/api/v1/jobs", json=BODY)
            stream = await api.http.get(f"/api/v1/jobs/{answer['job']['id']}/events")
            await stream.content.readline()
        stream.close()


async def test_logs_are_text_and_kept(api, job):
    attempt = job.maps[0].attempts[0]
    path = f"/api/v1/attempts/{attempt.id}/logs"
    async with api.http.get(path) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "text/plain", b"")
    await api.logs.append(attempt.id, b"one\n\xff", 0)
    async with api.http.get(path) as answer:
        assert await answer.read() == b"one\n\xff"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("query", ["follow", "follow=1", "follow=true"])
async def test_logs_are_followed_while_the_program_runs(api, job, query):
    attempt = job.maps[0].attempts[0]
    await api.logs.append(attempt.id, b"one\n", 0)
    async with asyncio.timeout(20), api.http.get(f"/api/v1/attempts/{attempt.id}/logs?{query}") as answer:
        assert await answer.content.readline() == b"one\n"
        await api.logs.append(attempt.id, b"two\n", 4)
        assert await answer.content.readline() == b"two\n"
        attempt.status = AttemptStatus.SUCCEEDED
        await api.logs.append(attempt.id, b"three\n", 8)
        await api.logs.close_attempt(attempt.id)
        assert await answer.content.read() == b"three\n"


async def test_following_an_attempt_that_has_ended_ends(api, job):
    attempt = job.maps[0].attempts[0]
    await api.logs.append(attempt.id, b"one\n", 0)
    await api.logs.close_attempt(attempt.id)
    attempt.status = AttemptStatus.FAILED
    async with asyncio.timeout(20), api.http.get(f"/api/v1/attempts/{attempt.id}/logs?follow") as answer:
        assert await answer.read() == b"one\n"


async def test_following_ends_with_an_attempt_whose_log_nobody_closes(api, job):
    attempt = job.maps[0].attempts[0]
    async with asyncio.timeout(20), api.http.get(f"/api/v1/attempts/{attempt.id}/logs?follow") as answer:
        attempt.status = AttemptStatus.LOST
        assert await answer.read() == b""


async def test_wrong_log_requests(api, job):
    assert (await api.call("GET", f"/api/v1/attempts/{job.maps[0].attempts[0].id}/logs?follow=maybe"))[0] == 422
    assert (await api.call("GET", f"/api/v1/attempts/{attempt_id(job.maps[0].id, 7)}/logs"))[0] == 404
