"""Every line of the HTTP contract about jobs, on a real server."""

import asyncio
import io
import json

import pytest
import pytest_asyncio

from apollo_common.errors import (
    BucketNotFound,
    LimitExceeded,
    ObjectNotFound,
    OutputExists,
    StorageUnavailable,
    VolumeFull,
)
from apollo_common.ids import JobId
from apollo_common.storage.policy import StorePolicy
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.core.model import Failure, JobStatus, Worker
from apollo_coordinator.core.spec import ProgramSource
from support.api_server import RunningApi, running_api

BODY = {
    "inputPath": "s3://in/books/",
    "outputPath": "s3://out/words",
    "mapperName": "map.sh",
    "reducerName": "reduce.sh",
    "nReducers": 2,
}


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path) as running:
        await running.upload("map.sh")
        await running.upload("reduce.sh", b"#!/bin/sh\nuniq -c\n")
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def idle(tmp_path_factory):
    """One server for all tests that change nothing."""
    async with running_api(tmp_path_factory.mktemp("idle")) as running:
        await running.upload("map.sh")
        await running.upload("reduce.sh", b"#!/bin/sh\nuniq -c\n")
        yield running


on_idle = pytest.mark.asyncio(loop_scope="module")


async def submit(api: RunningApi, *, headers=None, **changes):
    return await api.call("POST", "/api/v1/jobs", json={**BODY, **changes}, headers=headers)


def fields(document):
    return [error["field"] for error in document["errors"]]


async def test_a_job_is_accepted_with_the_original_names(api):
    status, answer = await submit(
        api, inputType="file/txt", useSSL=False, inputStorageCredentials={"username": "u", "password": "p"}
    )
    assert status == 201
    assert set(answer) == {"job", "mProgram", "rProgram"}
    job = answer["job"]
    assert job["nReducers"] == 2
    assert job["outputLocation"] == {"location": "s3://out/words", "useSSL": False}
    assert job["inputData"]["path"] == "s3://in/books/"
    assert job["inputData"]["type"] == "file/txt"
    assert isinstance(job["startTime"], int)
    assert "endTime" not in job
    assert job["status"] == "queued"
    assert answer["mProgram"]["name"] == "map.sh"
    assert answer["mProgram"]["size"] == 14
    assert answer["rProgram"]["hash"] == (await api.artifacts.get("reduce.sh")).digest
    assert await api.call("GET", f"/api/v1/jobs/{job['id']}") == (200, job)


async def test_programs_may_be_builtins_and_shell_commands(api):
    status, answer = await submit(
        api, mapperName="shell:tr A-Z a-z", reducerName="builtin:count", combinerName="builtin:sum", stdio="pipe"
    )
    assert status == 201
    spec = api.jobs.job(JobId(answer["job"]["id"])).spec
    assert (spec.mapper.source, spec.mapper.name, spec.mapper.stdio) == (ProgramSource.SHELL, "tr A-Z a-z", "pipe")
    assert answer["mProgram"]["name"] == answer["job"]["mapper"]["name"] == "shell:tr A-Z a-z"
    assert (spec.reducer.source, spec.reducer.name) == (ProgramSource.BUILTIN, "builtin:count")


async def test_a_map_only_job_has_no_reducer(api):
    body = {key: value for key, value in BODY.items() if key != "reducerName"} | {"nReducers": 0}
    status, answer = await api.call("POST", "/api/v1/jobs", json=body)
    assert (status, answer["rProgram"]) == (201, None)


async def test_the_specification_holds_what_was_asked(api):
    _, answer = await submit(
        api,
        name="words",
        splitSize="1MiB",
        memoryBudget=64 << 20,
        params={"a": "1"},
        env={"LANG": "C"},
        files=["map.sh"],
        partitioner="field:2",
        protocol="frames",
        inputPath=["s3://in/a", "s3://in/b"],
    )
    spec = api.jobs.job(JobId(answer["job"]["id"])).spec
    assert (spec.name, spec.split_size_bytes, spec.memory_budget_bytes) == ("words", 1 << 20, 64 << 20)
    assert (spec.params, spec.env, spec.partitioner) == ({"a": "1"}, {"LANG": "C"}, "field:2")
    assert spec.files[0].digest == spec.mapper.digest
    assert spec.mapper.protocol == "frames"
    assert answer["job"]["inputData"]["path"] == ["s3://in/a", "s3://in/b"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"not json", b"{'a': 1}", b"\xff\xfe", b'{"a": "\\ud800"}', b"[" * 100_000]
)
@on_idle
async def test_a_body_that_is_not_json_is_400(idle, body):
    status, problem = await idle.call("POST", "/api/v1/jobs", data=body)
    assert (status, problem["status"]) == (400, 400)
    assert "JSON" in problem["detail"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"nReducers": "2"}, "nReducers"),
        ({"nReducers": True}, "nReducers"),
        ({"nReducers": 1.5}, "nReducers"),
        ({"nReducers": 2.0}, "nReducers"),
        ({"nReducers": -1}, "nReducers"),
        ({"nReducers": 10_001}, "nReducers"),
        ({"nReducers": 10**4000}, "nReducers"),
        ({"nReducers": None}, "nReducers"),
        ({"nReducers": 0}, "reducerName"),
        ({"reducerName": None}, "reducerName"),
        ({"nReducer": 2}, "nReducer"),
        ({"mapperName": ""}, "mapperName"),
        ({"mapperName": "a/b"}, "mapperName"),
        ({"mapperName": 7}, "mapperName"),
        ({"mapperName": "shell: "}, "mapperName"),
        ({"mapperName": "builtin:sum"}, "mapperName"),
        ({"reducerName": "builtin:avg"}, "reducerName"),
        ({"combinerName": "builtin:count"}, "combinerName"),
        ({"mapperName": "shell:cat", "protocol": "frames"}, "protocol"),
        ({"inputPath": []}, "inputPath"),
        ({"inputPath": ["s3://in/a", 3]}, "inputPath.1"),
        ({"inputPath": "books.txt"}, "inputPath"),
        ({"inputPath": "ftp://host/file"}, "inputPath"),
        ({"inputPath": "s3://user:key@in/a"}, "inputPath"),
        ({"inputPath": "http://user:key@host/in/a"}, "inputPath"),
        ({"inputPath": "https://host/in/a?X-Amz-Signature=abc"}, "inputPath"),
        ({"inputPath": "http://host:port/in/a"}, "inputPath"),
        ({"inputPath": "http:///in/a"}, "inputPath"),
        ({"inputPath": "http://host"}, "inputPath"),
        ({"inputPath": "http://host/in/100%"}, "inputPath"),
        ({"inputPath": ["http://one/in/a", "http://two/in/a"]}, "inputPath"),
        ({"outputPath": "file://relative"}, "outputPath"),
        ({"outputPath": "s3://"}, "outputPath"),
        ({"inputPath": "http://host/in/a", "useSSL": True}, "useSSL"),
        ({"splitSize": 0}, "splitSize"),
        ({"splitSize": "64"}, "splitSize"),
        ({"splitSize": True}, "splitSize"),
        ({"splitSize": 1.5}, "splitSize"),
        ({"memoryBudget": 1}, "memoryBudget"),
        ({"protocol": "json"}, "protocol"),
        ({"stdio": "tty"}, "stdio"),
        ({"overwrite": "yes"}, "overwrite"),
        ({"overwrite": 1}, "overwrite"),
        ({"params": {"a b": "1"}}, "params.a b"),
        ({"params": {"a": 1}}, "params.a"),
        ({"env": {"APOLLO_ROLE": "map"}}, "env.APOLLO_ROLE"),
        ({"env": {"X": "\0"}}, "env.X"),
        ({"env": []}, "env"),
        ({"files": ["map.sh", "map.sh"]}, "files"),
        ({"maxAttempts": 0}, "maxAttempts"),
        ({"timeoutSeconds": -1}, "timeoutSeconds"),
        ({"jobTimeoutSeconds": -1}, "jobTimeoutSeconds"),
        ({"jobTimeoutSeconds": "60"}, "jobTimeoutSeconds"),
        ({"partitioner": "range"}, "partitioner"),
        ({"partitioner": "field:0"}, "partitioner"),
        ({"outputFormat": "csv"}, "outputFormat"),
        ({"compression": "rar"}, "compression"),
        ({"maxBadRecords": 5}, "maxBadRecords"),
        ({"credentialsSecret": "mine"}, "credentialsSecret"),
        ({"inputType": "file/parquet"}, "inputType"),
        ({"inputStorageCredentials": {"username": "u"}}, "inputStorageCredentials.password"),
        ({"inputStorageCredentials": {"username": "u", "password": "p", "x": 1}}, "inputStorageCredentials.x"),
        ({"name": "n" * 256}, "name"),
        ({"name": "two\nlines"}, "name"),
    ],
)
@on_idle
async def test_a_wrong_field_is_422_with_its_name_and_the_fix(idle, changes, field):
    status, problem = await submit(idle, **changes)
    assert (status, problem["status"], problem["title"]) == (422, 422, "Unprocessable Entity")
    assert fields(problem) == [field]
    assert problem["errors"][0]["message"]
    assert problem["errors"][0]["fix"]
    assert not idle.jobs.jobs()


async def test_all_wrong_fields_are_named_at_once(api):
    status, problem = await api.call("POST", "/api/v1/jobs", json={"nReducers": "2", "outPath": "s3://out/x"})
    assert status == 422
    assert sorted(fields(problem)) == ["inputPath", "mapperName", "nReducers", "outPath", "outputPath"]
    assert {"field": "outPath", "message": "There is no such field.", "fix": "Did you mean outputPath?"} in problem[
        "errors"
    ]


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"3", b"null"])
@on_idle
async def test_json_that_is_no_object_is_422(idle, body):
    status, _ = await idle.call("POST", "/api/v1/jobs", data=body)
    assert status == 422


async def test_the_list_of_builtins_is_in_the_fix(api):
    _, problem = await submit(api, reducerName="builtin:avg")
    for name in ("identity", "sum", "count", "min", "max", "unique"):
        assert f"builtin:{name}" in problem["errors"][0]["fix"]


async def test_an_unknown_artifact_is_404_with_its_field(api):
    status, problem = await submit(api, mapperName="nobody", files=["nothing"])
    assert (status, fields(problem)) == (404, ["files", "mapperName"])


async def test_a_side_file_is_no_program(api):
    await api.upload("words.txt", b"stop words", type="file")
    status, problem = await submit(api, mapperName="words.txt")
    assert (status, fields(problem)) == (422, ["mapperName"])
    assert (await submit(api, files=["words.txt"]))[0] == 201


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ObjectNotFound("Nothing at s3://in/books/."), 404),
        (BucketNotFound("There is no bucket in."), 404),
        (OutputExists("s3://out/words exists."), 409),
        (LimitExceeded("Too many jobs."), 429),
        (StorageUnavailable("The store does not answer."), 502),
        (VolumeFull("No space left."), 507),
    ],
)
async def test_what_submission_meets_has_its_status(api, error, status):
    api.jobs.refuse = error
    found, problem = await submit(api)
    assert (found, problem["status"], problem["detail"]) == (status, status, str(error))


async def test_an_unexpected_error_is_500_without_a_word_of_it(api):
    api.jobs.refuse = RuntimeError("/secret/path of the coordinator")
    status, problem = await submit(api)
    assert status == 500
    assert "secret" not in json.dumps(problem)


async def test_a_coordinator_that_is_not_ready_takes_no_jobs(api):
    api.jobs.ready = False
    assert (await submit(api))[0] == 503
    assert (await api.call("GET", "/readyz"))[0] == 503
    assert (await api.call("GET", "/healthz"))[0] == 200


async def test_nothing_is_said_of_jobs_before_they_are_known(api):
    _, answer = await submit(api)
    api.jobs.recovered = api.jobs.ready = False
    job = f"/api/v1/jobs/{answer['job']['id']}"
    for method, path in (
        ("GET", job),
        ("DELETE", job),
        ("DELETE", "/api/v1/artifacts/map.sh"),
        ("GET", "/api/v1/jobs"),
    ):
        assert (await api.call(method, path))[0] == 503
    assert (await api.upload("map.sh", b"#!/bin/sh\ntrue\n"))[0] == 503
    assert (await api.call("GET", "/healthz"))[0] == 200
    assert (await api.call("GET", "/readyz"))[0] == 503
    api.jobs.recovered = api.jobs.ready = True
    assert (await api.call("GET", job))[0] == 200


async def test_a_body_over_the_limit_is_413(api):
    body = io.BytesIO(json.dumps({**BODY, "params": {"a": "x" * (4 << 20)}}).encode())
    status, problem = await api.call("POST", "/api/v1/jobs", data=body)
    assert (status, problem["status"]) == (413, 413)


async def test_an_idempotency_key_makes_one_job(api):
    key = {"Idempotency-Key": "k" * 255}
    first, second = await submit(api, headers=key), await submit(api, headers=key)
    assert (first[0], second[0]) == (201, 200)
    assert first[1]["job"]["id"] == second[1]["job"]["id"]
    assert (await submit(api, headers=key, nReducers=3))[0] == 422
    assert (await submit(api, headers={"Idempotency-Key": "other"}))[0] == 201
    assert len(api.jobs.jobs()) == 2


async def test_an_idempotency_key_finds_its_job_when_the_artifact_is_gone(api):
    key = {"Idempotency-Key": "once"}
    _, first = await submit(api, headers=key)
    api.jobs.end(api.jobs.job(JobId(first["job"]["id"])), JobStatus.SUCCEEDED)
    await api.call("DELETE", "/api/v1/artifacts/map.sh")
    status, second = await submit(api, headers=key)
    assert (status, second["job"]["id"]) == (200, first["job"]["id"])


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb"])
@on_idle
async def test_a_wrong_idempotency_key_is_422(idle, key):
    status, problem = await submit(idle, headers={"Idempotency-Key": key})
    assert (status, fields(problem)) == (422, ["Idempotency-Key"])


async def test_stopping_a_job_twice_is_no_error_but_an_ended_one_is(api):
    _, answer = await submit(api)
    path = f"/api/v1/jobs/{answer['job']['id']}"
    status, job = await api.call("DELETE", path)
    assert (status, job["status"], job["endTime"]) == (200, "stopped", 9000)
    assert (await api.call("DELETE", path))[0] == 200
    _, answer = await submit(api)
    api.jobs.end(api.jobs.job(JobId(answer["job"]["id"])), JobStatus.SUCCEEDED)
    assert (await api.call("DELETE", f"/api/v1/jobs/{answer['job']['id']}"))[0] == 409


@pytest.mark.parametrize(
    "path",
    [
        "jobs/none",
        "jobs/none/tasks",
        "jobs/none/counters",
        "jobs/none/events",
        "tasks/none/attempts",
        "attempts/none/logs",
    ],
)
@on_idle
async def test_what_is_unknown_is_404(idle, path):
    status, problem = await idle.call("GET", f"/api/v1/{path}")
    assert (status, problem["status"]) == (404, 404)


async def test_lists_are_paged_in_order_of_creation(api):
    made = [(await submit(api))[1]["job"]["id"] for _ in range(5)]
    path, found = "/api/v1/jobs?limit=2", []
    pages = 0
    while path:
        async with api.http.get(path) as answer:
            found += [job["id"] for job in await answer.json()]
            path = answer.links.get("next", {}).get("url")
        pages += 1
    assert (found, pages) == (made, 3)
    assert len((await api.call("GET", "/api/v1/jobs"))[1]) == 5


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=1.5", "limit=", "after=nobody", "size=3"])
@pytest.mark.parametrize("path", ["jobs", "artifacts", "workers"])
@on_idle
async def test_a_wrong_page_is_422(idle, path, query):
    status, problem = await idle.call("GET", f"/api/v1/{path}?{query}")
    assert (status, fields(problem)) == (422, [query.partition("=")[0]])


async def test_tasks_attempts_workers_and_counters_are_shown(api):
    _, answer = await submit(api)
    job = api.jobs.job(JobId(answer["job"]["id"]))
    api.jobs.start(job, maps=2, reduces=2)
    api.jobs.given_workers = [Worker("w1", "127.0.0.1:9", attempt=job.maps[0].attempts[0].id, pod_name="pod-1")]
    job.counters = {"apollo": {"input_records": 7}, "mine": {"seen": 2}}
    _, tasks = await api.call("GET", f"/api/v1/jobs/{job.id}/tasks")
    assert [task["type"] for task in tasks] == ["mapper", "mapper", "reducer", "reducer"]
    assert tasks[0]["status"] == "in-progress"
    assert (tasks[0]["podName"], tasks[0]["startTime"], tasks[0]["program"]["name"]) == ("pod-1", 3100, "map.sh")
    assert tasks[3]["program"]["name"] == "reduce.sh"
    assert tasks[1]["startTime"] is None
    async with api.http.get(f"/api/v1/jobs/{job.id}/tasks?limit=3") as first:
        _, rest = await api.call("GET", str(first.links["next"]["url"].relative()))
    assert [task["id"] for task in rest] == [tasks[3]["id"]]
    _, attempts = await api.call("GET", f"/api/v1/tasks/{tasks[0]['id']}/attempts")
    assert [(attempt["number"], attempt["status"], attempt["worker"]) for attempt in attempts] == [(0, "running", "w1")]
    _, workers = await api.call("GET", "/api/v1/workers")
    assert [(worker["id"], worker["status"]) for worker in workers] == [("w1", "busy")]
    _, counters = await api.call("GET", f"/api/v1/jobs/{job.id}/counters")
    assert counters["mine"] == {"seen": 2}
    assert counters["apollo"]["input_records"] == 7
    assert counters["apollo"]["output_bytes"] == 0
    assert len(counters["apollo"]) == 9
    _, shown = await api.call("GET", f"/api/v1/jobs/{job.id}")
    assert shown["progress"]["maps"] == {"total": 2, "completed": 0, "running": 1}


async def test_a_failed_job_says_why(api):
    _, answer = await submit(api)
    job = api.jobs.job(JobId(answer["job"]["id"]))
    job.failure = Failure(
        "program_exited", "map.sh exited with status 3.", task="t", attempt="a", program="map.sh", exit_status=3
    )
    api.jobs.end(job, JobStatus.FAILED)
    _, shown = await api.call("GET", f"/api/v1/jobs/{job.id}")
    assert shown["failure"] == {
        "reason": "program_exited",
        "message": "map.sh exited with status 3.",
        "task": "t",
        "attempt": "a",
        "program": "map.sh",
        "exitStatus": 3,
    }


async def test_a_job_is_submitted_even_when_its_client_leaves(api):
    entered, go = asyncio.Event(), asyncio.Event()
    submit_now = api.jobs.submit

    async def slow(spec, secrets):
        entered.set()
        await go.wait()
        return await submit_now(spec, secrets)

    api.jobs.submit = slow
    request = asyncio.create_task(submit(api))
    await entered.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await asyncio.sleep(0.05)  # the server sees the connection close
    go.set()
    async with asyncio.timeout(10):
        while not api.jobs.jobs():
            await asyncio.sleep(0.01)


class TestLocations:
    @pytest.fixture
    async def strict(self, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "escape").symlink_to("/etc")
        settings = ApiSettings(
            store_policy=StorePolicy((str(tmp_path / "data"),), frozenset({"https://Store.example/"}))
        )
        async with running_api(tmp_path / "server", settings) as running:
            await running.upload("map.sh")
            await running.upload("reduce.sh")
            yield running

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("{data}/books/*.txt", 201),
            ("{data}/", 201),
            ("{data}", 201),
            ("{data}*/books", 422),
            ("{data}/../x", 422),
            ("{data}/escape/passwd", 422),
            ("{data}/escape/*", 422),
            ("/etc/passwd", 422),
            ("/*", 422),
        ],
    )
    async def test_files_are_read_below_the_operators_roots_only(self, strict, tmp_path, path, status):
        location = "file://" + path.format(data=tmp_path / "data")
        found, problem = await submit(strict, inputPath=location, outputPath=f"file://{tmp_path}/data/out")
        assert found == status
        if status == 422:
            assert fields(problem) == ["inputPath"]
            assert str(tmp_path) not in json.dumps(problem)

    async def test_the_coordinators_credentials_go_to_listed_endpoints_only(self, strict):
        status, problem = await submit(strict, inputPath="https://evil.example/in/a")
        assert (status, fields(problem)) == (422, ["inputStorageCredentials"])
        credentials = {"username": "u", "password": "p"}
        assert (await submit(strict, inputPath="https://evil.example/in/a", inputStorageCredentials=credentials))[
            0
        ] == 201
        assert (await submit(strict, inputPath="https://store.example/in/a"))[0] == 201

    async def test_credentials_reach_the_engine(self, strict):
        _, answer = await submit(
            strict,
            inputPath="http://minio:9000/in/a",
            inputStorageCredentials={"username": "u1", "password": "p1"},
            outputStorageCredentials={"username": "u2", "password": "p2"},
        )
        secrets = strict.jobs.secrets[JobId(answer["job"]["id"])]
        assert (secrets.input_access.access_key_id, secrets.input_access.secret_access_key) == ("u1", "p1")
        assert (secrets.output_access.access_key_id, secrets.output_access.secret_access_key) == ("u2", "p2")
