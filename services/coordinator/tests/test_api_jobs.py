"""Jobs over the HTTP contract, on a real server: accepted, listed, shown, stopped."""

import asyncio
import json

import pytest

from apollo_common.errors import (
    BucketNotFound,
    LimitExceeded,
    ObjectNotFound,
    OutputExists,
    OutputHoldsInput,
    OutputWouldMix,
    StorageUnavailable,
    VolumeFull,
)
from apollo_common.ids import JobId
from apollo_common.timings import Timings
from apollo_coordinator.core.explanation.findings import Line
from apollo_coordinator.core.model import Failure, JobStatus, Worker
from apollo_coordinator.core.spec import KeyRules, ProgramSource, TextFields
from support.api_jobs import BODY, submit, upload_programs
from support.api_server import running_api


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path) as running:
        await upload_programs(running)
        yield running


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


async def test_the_specification_holds_how_lines_are_cut(api):
    _, answer = await submit(
        api,
        mapOutputSeparator="\u0001",
        mapOutputKeyFields=2,
        reduceInputSeparator=" ",
        reduceOutputSeparator="::",
        reduceOutputKeyFields=3,
        outputSeparator=",",
    )
    spec = api.jobs.job(JobId(answer["job"]["id"])).spec
    assert spec.keys == KeyRules("\u0001")
    assert spec.text == TextFields("\u0001", 2, " ", "::", 3, ",")


async def test_the_specification_holds_the_order_of_keys(api):
    _, answer = await submit(
        api, partitioner="keyfields:-k1,1", keyOrder="-k1,1 -k2,2nr", groupKeyFields=1, keySeparator="::"
    )
    spec = api.jobs.job(JobId(answer["job"]["id"])).spec
    assert (spec.partitioner, spec.keys) == ("keyfields:-k1,1", KeyRules("::", "-k1,1 -k2,2nr", 1))
    assert (answer["job"]["keyOrder"], answer["job"]["groupKeyFields"]) == ("-k1,1 -k2,2nr", 1)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ObjectNotFound("Nothing at s3://in/books/."), 404),
        (BucketNotFound("There is no bucket in."), 404),
        (OutputExists("s3://out/words exists."), 409),
        (OutputHoldsInput("s3://out/words holds s3://out/words/part-r-00000."), 409),
        (LimitExceeded("Too many jobs."), 429),
        (StorageUnavailable("The store does not answer."), 502),
        (VolumeFull("No space left."), 507),
    ],
)
async def test_what_submission_meets_has_its_status(api, error, status):
    api.jobs.refuse = error
    found, problem = await submit(api)
    assert (found, problem["status"], problem["detail"]) == (status, status, str(error))


@pytest.mark.parametrize(
    "error",
    [
        OutputHoldsInput("s3://out/words holds s3://out/words/part-r-00000."),
        OutputWouldMix("The output at s3://out/words has parts such as day-8.00000."),
    ],
)
async def test_an_output_that_overwriting_does_not_help_is_told_with_its_field(api, error):
    api.jobs.refuse = error
    _, problem = await submit(api)
    assert problem["type"] == f"urn:apollo:problem:{error.reason}"
    (told,) = problem["errors"]
    assert told["field"] == "outputPath"
    assert "overwrite" not in told["fix"]


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


async def test_stopping_a_job_twice_is_no_error_but_an_ended_one_is(api):
    _, answer = await submit(api)
    path = f"/api/v1/jobs/{answer['job']['id']}"
    status, job = await api.call("DELETE", path)
    assert (status, job["status"], job["endTime"]) == (200, "stopped", 9000)
    assert (await api.call("DELETE", path))[0] == 200
    _, answer = await submit(api)
    api.jobs.end(api.jobs.job(JobId(answer["job"]["id"])), JobStatus.SUCCEEDED)
    assert (await api.call("DELETE", f"/api/v1/jobs/{answer['job']['id']}"))[0] == 409


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


async def test_lists_start_at_the_newest_and_keep_what_is_wanted_from_page_to_page(api):
    made = [(await submit(api, name=name))[1]["job"]["id"] for name in ("Night", "day", "nightly", "fortnight")]
    api.jobs.end(api.jobs.job(JobId(made[2])), JobStatus.FAILED)
    path, found = "/api/v1/jobs?limit=1&order=newest&search=NIGHT", []
    while path:
        async with api.http.get(path) as answer:
            found += [job["id"] for job in await answer.json()]
            path = answer.links.get("next", {}).get("url")
    assert found == [made[3], made[2], made[0]]
    assert [job["id"] for job in (await api.call("GET", "/api/v1/jobs?status=failed"))[1]] == [made[2]]
    assert (await api.call("GET", "/api/v1/jobs?status=failed&search=day"))[1] == []
    status, problem = await api.call("GET", "/api/v1/jobs?status=lost")
    assert (status, problem["errors"][0]["field"]) == (422, "status")


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


async def test_timings_are_shown_by_phase_and_of_attempts_that_told_some(api):
    _, answer = await submit(api)
    job = api.jobs.job(JobId(answer["job"]["id"]))
    api.jobs.start(job, maps=1, reduces=1)
    attempts = f"/api/v1/tasks/{job.maps[0].id}/attempts"
    (attempt,) = (await api.call("GET", attempts))[1]
    assert "timings" not in attempt
    job.map_timings = job.maps[0].attempts[0].timings = Timings(program_ms=90, sort_ms=10)
    (attempt,) = (await api.call("GET", attempts))[1]
    zeros = dict.fromkeys(
        ["start", "search", "read", "merge", "send", "program", "receive", "sort", "write", "commit"], 0
    )
    assert attempt["timings"] == zeros | {"program": 90, "sort": 10}
    _, timings = await api.call("GET", f"/api/v1/jobs/{job.id}/timings")
    assert timings == {"mapper": zeros | {"program": 90, "sort": 10}, "reducer": zeros}


async def test_an_explanation_shows_its_lines(api):
    _, answer = await submit(api)
    figures = {"spentMilliseconds": 31_000, "task": "t"}
    api.jobs.given_explanation = [Line("max-workers", "Why.", figures, "maxWorkers", "Raise it."), Line("read", "And.")]
    status, shown = await api.call("GET", f"/api/v1/jobs/{answer['job']['id']}/explanation")
    assert status == 200
    assert shown == {
        "lines": [
            {"finding": "max-workers", "text": "Why.", "figures": figures, "setting": "maxWorkers", "fix": "Raise it."},
            {"finding": "read", "text": "And.", "figures": {}},
        ]
    }


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
