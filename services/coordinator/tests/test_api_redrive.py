"""Redrives over the HTTP API, on a real server whose jobs a test drives."""

from dataclasses import replace

import pytest

from apollo_common.assignment import Split, SplitPiece
from apollo_common.ids import JobId, attempt_id, map_task_id
from apollo_common.storage.policy import StorePolicy
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.callers import Caller, Role
from apollo_coordinator.core.adoption import AdoptedOutput, BadRecordRange
from apollo_coordinator.core.model import JobStatus, Task, TaskKind, TaskStatus
from support.api_jobs import fields, submit, upload_programs
from support.api_server import running_api

REDRIVE = {"mapperName": "fixed.sh", "outputPath": "s3://out/again"}
SKIPPED = {"apollo": {"bad_records": 2}}


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path) as running:
        await prepare(running)
        yield running


async def prepare(running):
    await upload_programs(running)
    await running.upload("fixed.sh", b"#!/bin/sh\nexec cat\n")


async def succeeded(api, *, headers=None, **changes):
    """A job with one map task that has skipped two records."""
    body = {"keepIntermediate": True, "maxBadRecords": 5, "params": {"K": "v"}, "env": {"E": "1"}} | changes
    status, document = await submit(api, headers=headers, **body)
    assert status == 201, document
    job = api.jobs.job(JobId(document["job"]["id"]))
    task = map_task_id(job.id, 0)
    split = Split((SplitPiece("s3://in/books/a", 0, 10, 10, "v"),))
    job.maps = [Task(task, 0, TaskKind.MAP, TaskStatus.COMPLETED, split, accepted=attempt_id(task, 2))]
    job.maps[0].counters = job.counters = SKIPPED
    api.jobs.end(job, JobStatus.SUCCEEDED)
    return job


async def redrive(api, job, *, headers=None, **changes):
    return await api.call("POST", f"/api/v1/jobs/{job.id}/redrive", json={**REDRIVE, **changes}, headers=headers)


async def test_a_redrive_is_the_job_but_for_its_mapper_and_output(api):
    job = await succeeded(api, name="words", overwrite=True)
    status, document = await redrive(api, job)
    assert status == 201
    shown = document["job"]
    assert (shown["redriveOf"], shown["mapper"]["name"], shown["name"]) == (job.id, "fixed.sh", "words")
    assert (shown["outputLocation"]["location"], shown["overwrite"]) == ("s3://out/again", False)
    assert document["mProgram"]["hash"] != job.spec.mapper.digest
    spec = api.jobs.job(JobId(shown["id"])).spec
    changed = replace(
        spec, mapper=job.spec.mapper, output_path=job.spec.output_path, overwrite=job.spec.overwrite, redrive_of=""
    )
    assert changed == job.spec
    assert not spec.reads_input
    assert api.jobs.secrets[JobId(shown["id"])] is None


async def test_all_may_be_mapped_again_as_a_job_of_its_own(api):
    job = await succeeded(api, keepIntermediate=False)
    status, problem = await redrive(api, job)
    assert (status, problem["type"]) == (409, "urn:apollo:problem:map_outputs_gone")
    assert (problem["mapTasks"], problem["inputBytes"], problem["mapMilliseconds"]) == (1, 10, 0)
    status, document = await redrive(api, job, remap=True, name="whole")
    assert (status, document["job"]["name"]) == (201, "whole")
    assert "redriveOf" not in document["job"]
    spec = api.jobs.job(JobId(document["job"]["id"])).spec
    assert (spec.redrive_of, spec.remap_of) == ("", job.id)


@pytest.mark.parametrize(
    ("spoil", "reason", "words"),
    [
        ({"status": JobStatus.FAILED}, "job_not_succeeded", "run the job again"),
        ({"status": JobStatus.RUNNING}, "job_not_succeeded", "wait for it"),
        ({"counters": {}}, "no_bad_records", "submit a new job"),
    ],
)
async def test_what_cannot_be_redriven_says_what_to_do(api, spoil, reason, words):
    job = await succeeded(api)
    for field, value in spoil.items():
        setattr(job, field, value)
    status, problem = await redrive(api, job)
    assert (status, problem["type"]) == (409, f"urn:apollo:problem:{reason}")
    assert words in problem["detail"]


async def test_a_redrive_is_not_redriven(api):
    job = await succeeded(api)
    _, document = await redrive(api, job)
    again = api.jobs.job(JobId(document["job"]["id"]))
    again.counters = SKIPPED
    api.jobs.end(again, JobStatus.SUCCEEDED)
    status, problem = await redrive(api, again, outputPath="s3://out/third")
    assert (status, problem["type"]) == (409, "urn:apollo:problem:redrive_of_redrive")
    assert job.id in problem["detail"]


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"mapperName": "absent.sh"}, 404, "mapperName"),
        ({"mapperName": "builtin:sum"}, 422, "mapperName"),
        ({"mapperName": "shell: "}, 422, "mapperName"),
        ({"mapperName": 3}, 422, "mapperName"),
        ({"outputPath": "ftp://x"}, 422, "outputPath"),
        ({"outputPath": "s3://out/again", "useSSL": False, "reducers": 3}, 422, "reducers"),
        ({"outputPath": "https://host/bucket/key", "useSSL": False}, 422, "useSSL"),
        ({"name": "a\tb"}, 422, "name"),
    ],
)
async def test_what_is_wrong_is_said_by_its_field(api, changes, status, field):
    job = await succeeded(api)
    answered, problem = await redrive(api, job, **changes)
    assert (answered, fields(problem)[:1]) == (status, [field])


async def test_rules_for_lines_of_text_want_a_mapper_that_writes_some(api):
    job = await succeeded(api, mapOutputSeparator=",")
    await api.upload("frames.py", b"#!/usr/bin/env python3\nimport apollo_sdk\n")
    status, problem = await redrive(api, job, mapperName="frames.py")
    assert (status, fields(problem)) == (422, ["mapperName"])
    assert "mapOutputSeparator" in problem["detail"]


async def test_identity_maps_lines_only(api):
    job = await succeeded(api, inputFormat="csv")
    status, problem = await redrive(api, job, mapperName="builtin:identity")
    assert (status, fields(problem)) == (422, ["mapperName"])


async def test_what_the_bad_records_of_a_map_only_job_give_does_not_replace_its_output(api):
    job = await succeeded(api, nReducers=0, reducerName=None)
    same = {"outputPath": f"{job.spec.output_path}/", "overwrite": True}
    status, problem = await redrive(api, job, **same)
    assert (status, fields(problem)) == (422, ["outputPath"])
    assert (await redrive(api, job, **same, remap=True))[0] == 201
    reduced = await succeeded(api, outputPath="s3://out/sums")
    assert (await redrive(api, reduced, outputPath="s3://out/sums", overwrite=True))[0] == 201


async def test_an_unknown_job_is_404(api):
    status, _ = await api.call("POST", "/api/v1/jobs/nobody/redrive", json=REDRIVE)
    assert status == 404


async def test_a_key_gives_one_job_for_one_body_and_job(api):
    job, other = await succeeded(api), await succeeded(api, outputPath="s3://out/other")
    headers = {"Idempotency-Key": "k"}
    status, document = await redrive(api, job, headers=headers)
    again, repeated = await redrive(api, job, headers=headers)
    assert (status, again, repeated["job"]["id"]) == (201, 200, document["job"]["id"])
    assert (await redrive(api, job, headers=headers, overwrite=True))[0] == 422
    assert (await redrive(api, other, headers=headers))[0] == 422


async def test_credentials_of_the_body_are_kept_apart_and_take_the_place_of_a_secret(tmp_path):
    settings = ApiSettings(store_policy=StorePolicy(environment_endpoints=frozenset()), secret_references=True)
    login = {"username": "alice", "password": "hush"}
    async with running_api(tmp_path, settings) as api:
        await prepare(api)
        places = {"inputPath": "http://in:1/b/k", "outputPath": "http://out:2/b/k"}
        job = await succeeded(api, **places, credentialsSecret="kept")
        status, document = await redrive(api, job, outputPath="http://out:2/b/again")
        assert (status, api.jobs.secrets[JobId(document["job"]["id"])]) == (201, None)
        status, document = await redrive(
            api, job, outputPath="http://out:2/b/more", outputStorageCredentials=login, overwrite=True
        )
        assert status == 201, document
        new = JobId(document["job"]["id"])
        assert api.jobs.job(new).spec.credentials_secret == ""
        assert api.jobs.secrets[new].output_access.secret_access_key == "hush"
        # All of the input is read again only with credentials for where it lies.
        status, problem = await redrive(
            api, job, outputPath="http://out:2/b/more", outputStorageCredentials=login, remap=True
        )
        assert (status, fields(problem)) == (422, ["inputStorageCredentials"])


async def test_files_outside_of_the_operators_roots_are_no_outputs(tmp_path):
    settings = ApiSettings(store_policy=StorePolicy(file_roots=(str(tmp_path),)))
    async with running_api(tmp_path, settings) as api:
        await prepare(api)
        status, problem = await redrive(api, await succeeded(api), outputPath="file:///etc/again")
        assert (status, fields(problem)) == (422, ["outputPath"])


class Tokens:
    async def authenticate(self, token, remote=""):
        return {
            "a": Caller("alice", Role.SUBMITTER),
            "b": Caller("bob", Role.SUBMITTER),
            "v": Caller("v", Role.VIEWER),
        }[token]

    async def close(self):
        pass


async def test_only_the_owner_redrives_a_job(tmp_path):
    """Its variables and side files come with it."""
    as_user = {name: {"Authorization": f"Bearer {name}"} for name in "abv"}
    async with running_api(tmp_path, authenticator=Tokens()) as api:
        for name in ("map.sh", "reduce.sh", "fixed.sh"):
            await api.upload(name, headers=as_user["a"])
        job = await succeeded(api, headers=as_user["a"])
        assert (await redrive(api, job, headers=as_user["v"]))[0] == 403
        status, problem = await redrive(api, job, headers=as_user["b"])
        assert (status, problem["type"]) == (403, "urn:apollo:problem:not_owner")
        status, document = await redrive(api, job, headers=as_user["a"])
        assert (status, document["job"]["user"]) == (201, "alice")


async def test_a_task_tells_where_it_comes_from(api):
    job = await succeeded(api)
    first = attempt_id(map_task_id(JobId("earlier"), 4), 1)
    job.maps[0].accepted, job.maps[0].origin = None, AdoptedOutput(first, "path", 1, 1)
    second = map_task_id(job.id, 1)
    job.maps.append(Task(second, 1, TaskKind.MAP, split=job.maps[0].split, origin=BadRecordRange(first, 1, 2, 3)))
    _, tasks = await api.call("GET", f"/api/v1/jobs/{job.id}/tasks")
    told = [(task.get("adoptedFrom"), task.get("badRecordsOf"), task.get("acceptedAttempt")) for task in tasks]
    assert told == [(first, None, None), (None, first, None)]
