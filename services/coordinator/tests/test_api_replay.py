"""What the API hands out to run an attempt again: to whom, which bytes, and that no credentials are among it."""

import hashlib
import json

import pytest
from structlog.testing import capture_logs

from apollo_common.assignment import Split, SplitPiece
from apollo_common.ids import WorkerId, attempt_id
from apollo_coordinator.auth.static_tokens import TokensFile
from apollo_coordinator.core.model import Attempt, AttemptOutput, AttemptStatus, Failure, JobStatus, TaskStatus
from apollo_proto.apollo import v1
from support.api_server import SCRIPT, running_api
from support.tokens import bearer, tokens_file

SECRET = "do-not-tell-K9"
BODY = {
    "inputPath": "http://store:9000/in/a",
    "outputPath": "http://store:9000/out/b",
    "inputStorageCredentials": {"username": "inputkey", "password": SECRET},
    "outputStorageCredentials": {"username": "outputkey", "password": SECRET},
    "mapperName": "map.sh",
    "reducerName": "builtin:count",
    "nReducers": 2,
    "params": {"min_count": "3"},
    "env": {"MODE": "strict"},
    "keepIntermediate": True,
}
DIGEST = hashlib.sha256(SCRIPT).hexdigest()


@pytest.fixture
async def api(tmp_path):
    authenticator = await TokensFile.open(tokens_file(tmp_path / "tokens"))
    async with running_api(tmp_path, authenticator=authenticator) as running:
        yield running


async def a_job(api, **changes):
    """Alice's, with one map task that succeeded at the second attempt, and reduces that run."""
    await api.upload("map.sh", headers=bearer("alice"))
    status, answer = await api.call("POST", "/api/v1/jobs", json=BODY | changes, headers=bearer("alice"))
    assert status == 201, answer
    job = api.jobs.job(answer["job"]["id"])
    api.jobs.start(job, maps=1, reduces=2)
    (task,) = job.maps
    task.split = Split((SplitPiece("s3://in/a", 5, 10, 100, "etag"),))
    failed, done = task.attempts[0], Attempt(attempt_id(task.id, 1), WorkerId("w1"), 3200, AttemptStatus.SUCCEEDED)
    failed.status = AttemptStatus.FAILED
    task.attempts.append(done)
    task.status, task.accepted = TaskStatus.COMPLETED, done.id
    task.output = AttemptOutput(path=f"{job.id}/{task.id}/{done.id}", size_bytes=10)
    for reduce in job.reduces:
        reduce.attempts.append(Attempt(attempt_id(reduce.id, 0), WorkerId("w1"), 3300))
    return job


def keep_map_output(api, job, **files):
    directory = api.root / "intermediate" / job.maps[0].output.path
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_bytes(content)


async def replay(api, task, user="alice", **query):
    return await api.call("GET", f"/api/v1/tasks/{task.id}/replay", params=query, headers=bearer(user))


async def fetch(api, path, user="alice", **headers):
    async with api.http.get(path, headers=bearer(user) | headers) as answer:
        return answer.status, dict(answer.headers), await answer.read()


class TestReplay:
    async def test_a_map_is_told_as_its_worker_was_told(self, api):
        job = await a_job(api)
        status, answer = await replay(api, job.maps[0])
        assert (status, answer["artifacts"]) == (200, [{"digest": DIGEST, "size": len(SCRIPT)}])
        assignment = v1.TaskAssignment.from_dict(answer["assignment"])
        assert (assignment.params, assignment.env) == (BODY["params"], BODY["env"])
        assert assignment.program.digest == DIGEST
        assert (assignment.map.partitions, json.loads(assignment.map.split)["pieces"][0]["version"]) == (2, "etag")
        assert assignment.map.access == v1.StorageAccess(endpoint_url="http://store:9000")

    async def test_no_credentials_are_in_it(self, api):
        job = await a_job(api)
        for task in (*job.maps, *job.reduces):
            text = json.dumps(await replay(api, task))
            assert SECRET not in text
            assert "inputkey" not in text
            assert "outputkey" not in text

    async def test_the_last_failed_attempt_is_told_unless_one_is_named(self, api):
        job = await a_job(api)
        assert (await replay(api, job.maps[0]))[1]["attempt"]["number"] == 0
        status, answer = await replay(api, job.maps[0], attempt="1")
        assert (status, answer["attempt"]["number"], answer["assignment"]["attemptNumber"]) == (200, 1, 1)
        assert (await replay(api, job.maps[0], attempt="2"))[0] == 404
        assert (await replay(api, job.maps[0], attempt="-1"))[0] == 422

    async def test_an_attempt_that_showed_how_its_program_fails_comes_before_a_search_in_vain(self, api):
        job = await a_job(api, maxBadRecords=5)
        (task,) = job.maps
        task.attempts.append(Attempt(attempt_id(task.id, 2), WorkerId("w2"), 3300))
        reasons = ("program_exited", "program_exited", "too_many_bad_records")
        for attempt, reason in zip(task.attempts, reasons, strict=True):
            attempt.status, attempt.failure = AttemptStatus.FAILED, Failure(reason, "no", retryable=False)
        assert (await replay(api, task))[1]["attempt"]["number"] == 1
        del task.attempts[:2]
        assert (await replay(api, task))[1]["attempt"]["number"] == 2

    async def test_it_is_the_owners_and_leaves_a_line(self, api):
        job = await a_job(api)
        assert (await replay(api, job.maps[0], "vera"))[0] == 403
        status, problem = await replay(api, job.maps[0], "bob")
        assert (status, problem["type"]) == (403, "urn:apollo:problem:not_owner")
        with capture_logs() as logs:
            assert (await replay(api, job.maps[0], "root"))[0] == 200
        (line,) = [entry for entry in logs if entry["event"] == "audit"]
        assert (line["user"], line["task"]) == ("root", job.maps[0].id)

    async def test_an_attempt_that_skipped_bad_records_does_so_again(self, api):
        job = await a_job(api, maxBadRecords=5)
        (task,) = job.maps
        third = Attempt(attempt_id(task.id, 2), WorkerId("w2"), 3300, AttemptStatus.SUCCEEDED)
        task.attempts.append(third)
        for attempt in task.attempts[:2]:
            attempt.status, attempt.failure = AttemptStatus.FAILED, Failure("program_exited", "exit status 1")
        skipped = [(await replay(api, task, attempt=str(number)))[1]["assignment"]["map"] for number in range(3)]
        assert [int(work.get("maxBadRecords", 0)) for work in skipped] == [0, 0, 5]

    async def test_a_reduce_needs_kept_map_outputs_once_its_job_has_ended(self, api):
        kept = await a_job(api)
        not_kept = await a_job(api, keepIntermediate=False, outputPath="http://store:9000/out/c")
        assert (await replay(api, not_kept.reduces[1]))[0] == 200
        for job in (kept, not_kept):
            api.jobs.end(job, JobStatus.FAILED)
        assert (await replay(api, kept.reduces[1]))[0] == 200
        status, problem = await replay(api, not_kept.reduces[1])
        assert (status, problem["type"]) == (409, "urn:apollo:problem:map_outputs_gone")
        assert "keepIntermediate" in problem["detail"]
        assert (await replay(api, not_kept.maps[0]))[0] == 200


class TestArtifactBytes:
    async def test_a_job_gives_its_owner_the_bytes_also_when_their_name_is_gone(self, api):
        job = await a_job(api)
        api.jobs.end(job, JobStatus.FAILED)
        async with api.http.delete("/api/v1/artifacts/map.sh", headers=bearer("alice")) as answer:
            assert answer.status == 204
        status, headers, content = await fetch(api, f"/api/v1/artifact-bytes/{DIGEST}")
        assert (status, headers["Content-Length"], content) == (200, str(len(SCRIPT)), SCRIPT)
        assert headers["X-Content-Type-Options"] == "nosniff"
        api.jobs.forget(job.id)
        assert (await fetch(api, f"/api/v1/artifact-bytes/{DIGEST}"))[0] == 404

    async def test_others_do_not_get_them_unless_their_job_was_given_them(self, api):
        await a_job(api)
        assert (await fetch(api, f"/api/v1/artifact-bytes/{DIGEST}", "bob"))[0] == 403
        assert (await fetch(api, f"/api/v1/artifact-bytes/{DIGEST}", "root"))[0] == 200
        body = BODY | {"outputPath": "http://store:9000/out/bob"}
        assert (await api.call("POST", "/api/v1/jobs", json=body, headers=bearer("bob")))[0] == 201
        assert (await fetch(api, f"/api/v1/artifact-bytes/{DIGEST}", "bob"))[2] == SCRIPT

    @pytest.mark.parametrize("digest", ["0" * 64, "..", "%2e%2e%2fnames", "x"])
    async def test_what_is_no_digest_of_an_artifact_is_not_found(self, api, digest):
        assert (await fetch(api, f"/api/v1/artifact-bytes/{digest}"))[0] == 404


class TestMapOutput:
    async def test_the_files_of_the_accepted_attempt_are_served_whole_and_in_ranges(self, api):
        job = await a_job(api)
        keep_map_output(api, job, data_arrow=b"0123456789", index=b"abc")
        path = f"/api/v1/attempts/{job.maps[0].accepted}/map-output"
        assert (await fetch(api, f"{path}/index"))[2] == b"abc"
        status, headers, content = await fetch(api, f"{path}/data", Range="bytes=2-4")
        assert (status, headers["Content-Range"], content) == (206, "bytes 2-4/10", b"234")
        assert (await fetch(api, f"{path}/data", Range="bytes=8-"))[2] == b"89"
        assert (await fetch(api, f"{path}/data", Range="bytes=-3"))[2] == b"789"
        assert (await fetch(api, f"{path}/data", Range="bytes=8-99"))[1]["Content-Range"] == "bytes 8-9/10"
        assert (await fetch(api, f"{path}/data", Range="lines=1-2"))[2] == b"0123456789"
        status, headers, _ = await fetch(api, f"{path}/data", Range="bytes=10-")
        assert (status, headers["Content-Range"]) == (416, "bytes */10")

    async def test_other_attempts_and_files_are_not_found(self, api):
        job = await a_job(api)
        keep_map_output(api, job, data_arrow=b"0123456789", index=b"abc")
        first = job.maps[0].attempts[0].id
        for target in (
            f"{first}/map-output/data",
            f"{job.maps[0].accepted}/map-output/data.arrow",
            "x/map-output/data",
        ):
            assert (await fetch(api, f"/api/v1/attempts/{target}"))[0] == 404, target

    async def test_it_is_the_owners(self, api):
        job = await a_job(api)
        keep_map_output(api, job, data_arrow=b"0123456789", index=b"abc")
        for user, status in (("bob", 403), ("vera", 403), ("root", 200)):
            answer = await fetch(api, f"/api/v1/attempts/{job.maps[0].accepted}/map-output/data", user)
            assert answer[0] == status, user

    async def test_one_that_was_removed_is_gone(self, api):
        job = await a_job(api)
        status, _, content = await fetch(api, f"/api/v1/attempts/{job.maps[0].accepted}/map-output/index")
        assert (status, json.loads(content)["type"]) == (409, "urn:apollo:problem:map_outputs_gone")
