"""The API on the real engine, whose ports are in memory: what a job service that a test drives cannot show."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from apollo_common.storage.file import FileStore
from apollo_common.storage.policy import StorePolicy
from apollo_coordinator.api.application import make_api
from apollo_coordinator.api.server import ApiServer
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.order import AttemptDone, AttemptFailed, AttemptLog, AttemptStarted
from apollo_coordinator.rpc.convert import to_document
from apollo_coordinator.store.artifacts import ArtifactFiles
from apollo_coordinator.store.logs import LogFiles
from apollo_coordinator.store.map_outputs import MapOutputFiles
from support.engine import Site

SETTINGS = ApiSettings(store_policy=StorePolicy(), shutdown_s=0.2)
BODY = {"inputPath": "file:///in", "outputPath": "file:///out", "mapperName": "map.sh", "reducerName": "builtin:sum"}


class Programs:
    """Every attempt says hello, waits for the test's leave, and succeeds or fails."""

    def __init__(self):
        self.leave = asyncio.Event()
        self.fails = False

    async def __call__(self, order):
        yield AttemptStarted()
        yield AttemptLog(f"hello from {order.attempt_id}\n".encode(), 0)
        await self.leave.wait()
        if self.fails:
            yield AttemptFailed("program_exited", "map.sh exited with status 3", retryable=False, exit_status=3)
        else:
            yield AttemptDone({"apollo": {"input_records": 10}, "mine": {"seen": 1}})


@asynccontextmanager
async def coordinator(site, root):
    """API and engine; leaving the block is a crash for everything but the site."""
    artifacts = await ArtifactFiles.open(root / "artifacts")
    async with site.coordinator() as engine:
        app = make_api(
            service=engine,
            artifacts=artifacts,
            logs=site.logs,
            settings=SETTINGS,
            registry=CollectorRegistry(),
            map_outputs=MapOutputFiles(FileStore(), f"file://{root}/intermediate"),
            encode=to_document,
        )
        server = ApiServer(app, SETTINGS)
        port = await server.listen("127.0.0.1", 0)
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
                form = aiohttp.FormData()
                form.add_field("program", b"#!/bin/sh\ncat\n", filename="map.sh")
                assert (await call(http, "PUT", "/api/v1/artifacts", data=form))[0] == 200
                yield http
        finally:
            await server.close()


async def call(http, method, path, **options):
    async with asyncio.timeout(20), http.request(method, path, **options) as answer:
        return answer.status, await answer.json(content_type=None)


async def story(http, job, after=0):
    """Events with an id, to the end of the stream."""
    headers = {"Last-Event-ID": str(after)}
    async with asyncio.timeout(20), http.get(f"/api/v1/jobs/{job}/events", headers=headers) as answer:
        blocks = (await answer.text()).split("\n\n")
    lines = [dict(line.split(": ", 1) for line in block.split("\n") if line[:1] not in ("", ":")) for block in blocks]
    return [(int(found["id"]), found["event"], json.loads(found["data"])) for found in lines if "id" in found]


@pytest.fixture
async def programs():
    return Programs()


@pytest.fixture
async def site(tmp_path, programs):
    site = Site()
    site.logs = LogFiles(tmp_path / "logs")
    site.add_workers(2, programs)
    yield site
    await site.close()


async def test_a_job_from_its_body_to_its_last_event(site, tmp_path, programs):
    async with coordinator(site, tmp_path) as http:
        status, answer = await call(http, "POST", "/api/v1/jobs", json={**BODY, "nReducers": 2})
        assert status == 201
        job = answer["job"]["id"]
        assert (await call(http, "DELETE", "/api/v1/artifacts/map.sh"))[0] == 409
        telling = asyncio.create_task(story(http, job))
        async with asyncio.timeout(20):
            while {worker["status"] for worker in (await call(http, "GET", "/api/v1/workers"))[1]} != {"busy"}:
                await asyncio.sleep(0.01)
        programs.leave.set()
        events = await telling
        assert [event[0] for event in events] == list(range(1, len(events) + 1))
        assert events[-1][2]["status"] == "succeeded"
        for last in (1, 3, len(events) - 1, len(events)):
            assert await story(http, job, last) == events[last:]

        _, shown = await call(http, "GET", f"/api/v1/jobs/{job}")
        assert shown["status"] == "succeeded"
        assert shown["endTime"] >= shown["startTime"]
        assert shown["progress"]["maps"] == {"total": 3, "completed": 3, "running": 0}
        _, tasks = await call(http, "GET", f"/api/v1/jobs/{job}/tasks")
        assert [(task["type"], task["status"]) for task in tasks] == [("mapper", "completed")] * 3 + [
            ("reducer", "completed")
        ] * 2
        assert tasks[0]["inputData"]["path"] == "file:///in"
        _, attempts = await call(http, "GET", f"/api/v1/tasks/{tasks[0]['id']}/attempts")
        assert [attempt["status"] for attempt in attempts] == ["succeeded"]
        async with http.get(f"/api/v1/attempts/{attempts[0]['id']}/logs?follow") as log:
            assert await log.text() == f"hello from {attempts[0]['id']}\n"
        _, counters = await call(http, "GET", f"/api/v1/jobs/{job}/counters")
        assert counters["mine"] == {"seen": 5}
        assert counters["apollo"]["input_records"] == 50
        assert (await call(http, "DELETE", f"/api/v1/jobs/{job}"))[0] == 409


async def test_a_failed_job_says_why_and_its_last_event_too(site, tmp_path, programs):
    programs.fails = True
    programs.leave.set()
    async with coordinator(site, tmp_path) as http:
        _, answer = await call(http, "POST", "/api/v1/jobs", json=BODY)
        events = await story(http, answer["job"]["id"])
        _, shown = await call(http, "GET", f"/api/v1/jobs/{answer['job']['id']}")
    assert (shown["status"], events[-1][2]["status"]) == ("failed", "failed")
    assert (shown["failure"]["reason"], shown["failure"]["exitStatus"]) == ("program_exited", 3)
    assert shown["failure"]["task"].startswith(shown["id"])
    assert events[-1][2]["failure"]["exitStatus"] == 3


async def test_a_job_is_stopped_once_and_for_all(site, tmp_path):
    async with coordinator(site, tmp_path) as http:
        _, answer = await call(http, "POST", "/api/v1/jobs", json=BODY)
        path = f"/api/v1/jobs/{answer['job']['id']}"
        assert (await call(http, "DELETE", path))[0] == 200
        assert (await call(http, "DELETE", path))[0] == 200
        events = await story(http, answer["job"]["id"])
        assert events[-1][2]["status"] == "stopped"
        status, shown = await call(http, "DELETE", path)
        assert (status, shown["status"]) == (200, "stopped")


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"inputPath": "file:///no", "outputPath": "file:///o"}, 404), ({"outputPath": "file:///out/"}, 409)],
)
async def test_what_the_engine_refuses(site, tmp_path, changes, status):
    async with coordinator(site, tmp_path) as http:
        await call(http, "POST", "/api/v1/jobs", json=BODY)
        found, problem = await call(http, "POST", "/api/v1/jobs", json={**BODY, **changes})
    assert (found, problem["status"]) == (status, status)


async def test_an_idempotency_key_holds_after_a_restart(site, tmp_path):
    key = {"Idempotency-Key": "once"}
    async with coordinator(site, tmp_path) as http:
        first = await call(http, "POST", "/api/v1/jobs", json=BODY, headers=key)
    async with coordinator(site, tmp_path) as http:
        again = await call(http, "POST", "/api/v1/jobs", json=dict(reversed(BODY.items())), headers=key)
        assert (first[0], again[0]) == (201, 200)
        assert first[1]["job"]["id"] == again[1]["job"]["id"]
        assert (await call(http, "POST", "/api/v1/jobs", json={**BODY, "name": "x"}, headers=key))[0] == 422


async def test_a_full_journal_is_507(site, tmp_path):
    async with coordinator(site, tmp_path) as http:
        site.journal.full = True
        status, problem = await call(http, "POST", "/api/v1/jobs", json=BODY)
        assert (status, problem["status"]) == (507, 507)
        site.journal.full = False


async def test_a_volume_without_room_is_507_and_not_ready(site, tmp_path):
    async with coordinator(site, tmp_path) as http:
        assert (await call(http, "GET", "/readyz"))[0] == 200
        site.journal.nearly_full = True
        assert (await call(http, "POST", "/api/v1/jobs", json=BODY))[0] == 507
        assert (await call(http, "GET", "/readyz"))[0] == 503
        site.journal.nearly_full = False
        assert (await call(http, "GET", "/readyz"))[0] == 200


async def test_credentials_reach_the_secret_store_and_nothing_else(site, tmp_path):
    credentials = {"username": "hush-user", "password": "hush-pass"}
    body = {**BODY, "inputStorageCredentials": credentials, "outputStorageCredentials": credentials}
    async with coordinator(site, tmp_path) as http:
        _, answer = await call(http, "POST", "/api/v1/jobs", json=body, headers={"Idempotency-Key": "k"})
        job = answer["job"]["id"]
        assert site.secrets.secrets[job].input_access.secret_access_key == "hush-pass"
        await call(http, "DELETE", f"/api/v1/jobs/{job}")
        told = await story(http, job)
    assert "hush" not in json.dumps([answer, told])
    assert not any("hush" in fact.body for fact in site.journal.facts)
