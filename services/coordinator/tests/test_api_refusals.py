"""What is wrong with a request is said by status, field and fix, on a real server."""

import io
import json

import pytest
import pytest_asyncio

from support.api_jobs import BODY, fields, submit, upload_programs
from support.api_server import running_api


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path) as running:
        await upload_programs(running)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def idle(tmp_path_factory):
    """One server for all tests that change nothing."""
    async with running_api(tmp_path_factory.mktemp("idle")) as running:
        await upload_programs(running)
        yield running


on_idle = pytest.mark.asyncio(loop_scope="module")


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
        ({"partitioner": "ranges"}, "partitioner"),
        ({"groupKeyFields": 1, "partitioner": "range"}, "partitioner"),
        ({"partitioner": "field:0"}, "partitioner"),
        ({"partitioner": "keyfields:"}, "partitioner"),
        ({"partitioner": "keyfields:-k0"}, "partitioner"),
        ({"partPrefix": "_part-"}, "partPrefix"),
        ({"partPrefix": "a/b"}, "partPrefix"),
        ({"partPrefix": "p" * 101}, "partPrefix"),
        ({"keyOrder": ""}, "keyOrder"),
        ({"keyOrder": "-k1,1x"}, "keyOrder"),
        ({"keyOrder": "-k1 " * 17}, "keyOrder"),
        ({"keySeparator": "\n"}, "keySeparator"),
        ({"groupKeyFields": -1}, "groupKeyFields"),
        ({"groupKeyFields": 1}, "partitioner"),
        ({"groupKeyFields": 1, "partitioner": "field:2"}, "partitioner"),
        ({"groupKeyFields": 1, "partitioner": "keyfields:-k1"}, "partitioner"),
        ({"groupKeyFields": 1, "partitioner": "field:1", "keyOrder": "-k2,2"}, "keyOrder"),
        ({"groupKeyFields": 1, "partitioner": "field:1", "reducerName": "builtin:sum"}, "groupKeyFields"),
        ({"groupKeyFields": 1, "nReducers": 0, "reducerName": None}, "groupKeyFields"),
        ({"mapOutputSeparator": ""}, "mapOutputSeparator"),
        ({"mapOutputSeparator": "a\nb"}, "mapOutputSeparator"),
        ({"mapOutputSeparator": "-" * 33}, "mapOutputSeparator"),
        ({"mapOutputKeyFields": 0}, "mapOutputKeyFields"),
        ({"mapOutputKeyFields": "2"}, "mapOutputKeyFields"),
        ({"reduceOutputKeyFields": 10_001}, "reduceOutputKeyFields"),
        ({"reducerName": "builtin:sum", "reduceInputSeparator": ","}, "reduceInputSeparator"),
        ({"protocol": "frames", "mapOutputKeyFields": 2}, "mapOutputKeyFields"),
        ({"outputFormat": "jsonl", "outputSeparator": ","}, "outputSeparator"),
        ({"outputFormat": "csv"}, "outputFormat"),
        ({"compression": "rar"}, "compression"),
        ({"maxBadRecords": 5, "maxAttempts": 2}, "maxBadRecords"),
        ({"maxBadRecords": 10_001}, "maxBadRecords"),
        ({"credentialsSecret": "mine"}, "credentialsSecret"),
        ({"network": True}, "network"),
        ({"network": "yes"}, "network"),
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


@pytest.mark.parametrize("budget", [-1, 0, 1, "7MiB"])
@on_idle
async def test_the_least_budget_is_said_as_people_write_it(idle, budget):
    _, problem = await submit(idle, memoryBudget=budget)
    assert problem["errors"][0]["fix"] == "Give 8MiB or more."


@pytest.mark.parametrize(
    ("changes", "message", "fix"),
    [
        (
            {"partitioner": "fild:2"},
            "There is no partitioner 'fild:2'.",
            "Use hash, field:N, hadoop, keyfields:OPTIONS or range, with N from 1 to 10000.",
        ),
        ({"mapperName": "builtin:x"}, "There is no built-in 'builtin:x' for this role.", "Use builtin:identity."),
        ({"env": {"A B": "1"}}, "'A B' is no variable's name.", "Use letters, digits and _, and no digit first."),
        (
            {"env": {"é" * 500: "1"}},
            f"'{'é' * 80}…' is no variable's name.",
            "Use letters, digits and _, and no digit first.",
        ),
        (
            {"partPrefix": "../x"},
            "'../x' cannot begin the names of parts.",
            "Use letters, digits, -, . and _, beginning with a letter or a digit, such as part-.",
        ),
        (
            {"credentialsSecret": "Mine"},
            "'Mine' is no name of a Secret.",
            "Use small letters, digits, - and ., beginning and ending with a letter or a digit.",
        ),
        ({"splitSize": 0}, "This is too small.", "Give a number of 1 or more."),
        ({"priority": 101}, "This is too large.", "Give a number of 100 or less."),
        ({"stdio": "tty"}, "There is no such value.", "Use one of 'socket' or 'pipe'."),
    ],
)
@on_idle
async def test_what_is_wrong_and_what_to_do_are_two_sentences(idle, changes, message, fix):
    _, problem = await submit(idle, **changes)
    assert [(error["message"], error["fix"]) for error in problem["errors"]] == [(message, fix)]


@on_idle
async def test_no_secret_may_be_said_outright(idle):
    _, problem = await submit(idle, credentialsSecret=None, splitSize=0)
    assert [error["field"] for error in problem["errors"]] == ["splitSize"]


@pytest.mark.parametrize(
    ("order", "fields", "proposed"),
    [
        ("-k1,1 -k2,2nr", 3, "-k1,1 -k2,2nr -k3,3"),
        ("-k2,2n", 1, "-k1,1 -k2,2n"),
        ("-k3,3 -k2", 5, "-k3,3 -k1,2 -k4,5 -k2"),
        ("-r", 2, "-k1,2 -k1r"),
        ("-k1.2,1.3n -k2.2 -n", 2, "-k1,2 -k1.2,1.3n -k2.2n"),
        ("-k1,1 -k1,3r", 2, "-k1,1 -k2,2 -k1,3r"),
    ],
)
async def test_the_order_that_is_proposed_keeps_groups_together(api, order, fields, proposed):
    grouped = {"groupKeyFields": fields, "partitioner": "field:1"}
    status, problem = await submit(api, **grouped, keyOrder=order)
    assert status == 422
    assert problem["errors"][0]["fix"] == f"Let the order begin with the group's fields, as in {proposed}."
    status, answer = await submit(api, **grouped, keyOrder=proposed)
    assert status == 201, answer


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


async def test_a_body_over_the_limit_is_413(api):
    body = io.BytesIO(json.dumps({**BODY, "params": {"a": "x" * (4 << 20)}}).encode())
    status, problem = await api.call("POST", "/api/v1/jobs", data=body)
    assert (status, problem["status"]) == (413, 413)


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb"])
@on_idle
async def test_a_wrong_idempotency_key_is_422(idle, key):
    status, problem = await submit(idle, headers={"Idempotency-Key": key})
    assert (status, fields(problem)) == (422, ["Idempotency-Key"])


@pytest.mark.parametrize(
    "path",
    [
        "jobs/none",
        "jobs/none/tasks",
        "jobs/none/counters",
        "jobs/none/timings",
        "jobs/none/bad-records",
        "jobs/none/bad-records/1",
        "jobs/none/explanation",
        "jobs/none/events",
        "tasks/none/attempts",
        "attempts/none/logs",
    ],
)
@on_idle
async def test_what_is_unknown_is_404(idle, path):
    status, problem = await idle.call("GET", f"/api/v1/{path}")
    assert (status, problem["status"]) == (404, 404)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=1.5", "limit=", "after=nobody", "size=3"])
@pytest.mark.parametrize("path", ["jobs", "artifacts", "workers"])
@on_idle
async def test_a_wrong_page_is_422(idle, path, query):
    status, problem = await idle.call("GET", f"/api/v1/{path}?{query}")
    assert (status, fields(problem)) == (422, [query.partition("=")[0]])
