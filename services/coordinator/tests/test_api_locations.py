"""Where a job may read and write, and whose credentials go there, on a real server."""

import asyncio
import json

import pytest

from apollo_common.ids import JobId
from apollo_common.storage.policy import StorePolicy
from apollo_coordinator.api.schemas import MAX_INPUT_PATHS, JobBody
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.api.submission import check
from support.api_jobs import BODY, fields, submit, upload_programs
from support.api_server import running_api


@pytest.fixture
async def strict(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "escape").symlink_to("/etc")
    settings = ApiSettings(store_policy=StorePolicy((str(tmp_path / "data"),), frozenset({"https://Store.example/"})))
    async with running_api(tmp_path / "server", settings) as running:
        await upload_programs(running)
        yield running


async def test_a_job_has_network_where_the_operator_allows_it(tmp_path):
    async with running_api(tmp_path, ApiSettings(store_policy=StorePolicy(), allow_network=True)) as api:
        await upload_programs(api)
        status, answer = await submit(api, network=True)
        assert (status, api.jobs.job(JobId(answer["job"]["id"])).spec.network) == (201, True)


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
async def test_files_are_read_below_the_operators_roots_only(strict, tmp_path, path, status):
    location = "file://" + path.format(data=tmp_path / "data")
    found, problem = await submit(strict, inputPath=location, outputPath=f"file://{tmp_path}/data/out")
    assert found == status
    if status == 422:
        assert fields(problem) == ["inputPath"]
        assert str(tmp_path) not in json.dumps(problem)


async def test_the_coordinators_credentials_go_to_listed_endpoints_only(strict):
    status, problem = await submit(strict, inputPath="https://evil.example/in/a")
    assert (status, fields(problem)) == (422, ["inputStorageCredentials"])
    credentials = {"username": "u", "password": "p"}
    assert (await submit(strict, inputPath="https://evil.example/in/a", inputStorageCredentials=credentials))[0] == 201
    assert (await submit(strict, inputPath="https://store.example/in/a"))[0] == 201


@pytest.mark.parametrize(
    ("location", "status"),
    [
        ("s3://shuffle/of jobs/abc", 422),
        ("s3://shuffle/of jobs", 422),
        ("https://store.example/shuffle/of%20jobs/abc", 422),
        ("s3://shuffle/", 422),
        ("s3://shuffle//of jobs/abc", 422),
        ("s3://shuffle/of jobs\\abc", 422),
        ("s3://shuffle/x/../of jobs/abc", 422),
        ("s3://shuffle/./of jobs/*", 422),
        ("https://store.example/shuffle/%2Fof%20jobs%5Cabc", 422),
        ("s3://shuffle/*/abc", 422),
        ("s3://shuffle/of*", 422),
        ("s3://shuffle/[o]f jobs/*", 422),
        ("s3://shuffle/of", 201),
        ("s3://shuffle/of jobs too/abc", 201),
        ("s3://shuffle/others/*", 201),
        ("s3://other/of jobs/abc", 201),
    ],
)
async def test_the_coordinators_credentials_do_not_reach_other_jobs_map_outputs(tmp_path, location, status):
    policy = StorePolicy(environment_endpoints=frozenset({"https://store.example"}), own_prefix="s3://shuffle/of jobs")
    async with running_api(tmp_path, ApiSettings(store_policy=policy)) as api:
        await upload_programs(api)
        found, answer = await submit(api, inputPath=location)
        assert found == status
        if status == 422:
            assert fields(answer) == ["inputPath"]
            credentials = {"username": "u", "password": "p"}
            given = {"inputPath": location, "inputStorageCredentials": credentials}
            assert (await submit(api, **given))[0] == 201


async def test_a_long_list_of_inputs_holds_nobody_up():
    body = JobBody.model_validate(BODY | {"inputPath": [f"s3://in/{number}" for number in range(MAX_INPUT_PATHS)]})
    checking = asyncio.create_task(check(body, ApiSettings(store_policy=StorePolicy(own_prefix="s3://shuffle"))))
    turns = 0
    while not checking.done():
        turns += 1
        await asyncio.sleep(0.001)
    await checking
    assert turns > 10


async def test_credentials_reach_the_engine(strict):
    _, answer = await submit(
        strict,
        inputPath="http://minio:9000/in/a",
        inputStorageCredentials={"username": "u1", "password": "p1"},
        outputStorageCredentials={"username": "u2", "password": "p2"},
    )
    secrets = strict.jobs.secrets[JobId(answer["job"]["id"])]
    assert (secrets.input_access.access_key_id, secrets.input_access.secret_access_key) == ("u1", "p1")
    assert (secrets.output_access.access_key_id, secrets.output_access.secret_access_key) == ("u2", "p2")


async def test_an_output_does_not_go_among_map_outputs(tmp_path):
    policy = StorePolicy(own_prefix="s3://shuffle")
    async with running_api(tmp_path, ApiSettings(store_policy=policy)) as api:
        await upload_programs(api)
        status, problem = await submit(api, outputPath="s3://shuffle/out")
        assert (status, fields(problem)) == (422, ["outputPath"])
