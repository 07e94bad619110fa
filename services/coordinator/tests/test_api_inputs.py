"""Formats, ways to split, and inputs with mappers of their own, on a real server."""

import pytest

from apollo_common.ids import JobId
from support.api_jobs import BODY, fields, submit, upload_programs
from support.api_server import running_api

WITHOUT_INPUT = {key: value for key, value in BODY.items() if key not in ("inputPath", "mapperName")}
TWO = [
    {"inputPath": ["s3://in/users/", "s3://in/more/"], "mapperName": "map.sh", "inputFormat": "csv:;"},
    {"inputPath": "s3://in/orders/"},
]


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path) as running:
        await upload_programs(running)
        yield running


async def post(api, **body):
    return await api.call("POST", "/api/v1/jobs", json=WITHOUT_INPUT | body)


async def test_a_format_is_kept_and_shown(api):
    status, answer = await submit(api, inputFormat=r"lines:\0", splitPolicy="packed", allowNoInput=True)
    assert status == 201
    spec = api.jobs.job(JobId(answer["job"]["id"])).spec
    assert (spec.record_format, spec.split_policy, spec.allow_no_input) == (r"lines:\0", "packed", True)
    shown = answer["job"]["inputData"]
    assert (shown["format"], shown["splitPolicy"], shown["type"]) == (r"lines:\0", "packed", "file/txt")
    assert "inputs" not in answer["job"]


async def test_inputs_may_have_mappers_and_formats_of_their_own(api):
    status, answer = await post(api, inputs=TWO, mapperName="shell:cat", inputFormat="jsonl")
    assert status == 201
    spec = api.jobs.job(JobId(answer["job"]["id"])).spec
    assert spec.input_paths == ("s3://in/users/", "s3://in/more/", "s3://in/orders/")
    assert [(given.path, given.mapper.name, given.record_format) for given in spec.inputs] == [
        ("s3://in/users/", "map.sh", "csv:;"),
        ("s3://in/more/", "map.sh", "csv:;"),
        ("s3://in/orders/", "cat", "jsonl"),
    ]
    assert [program.name for program in spec.programs] == ["map.sh", "cat", "reduce.sh"]
    assert answer["mProgram"]["name"] == "map.sh"
    assert answer["job"]["inputs"][2] == {"path": "s3://in/orders/", "mapper": "shell:cat", "format": "jsonl"}
    assert answer["job"]["inputData"]["path"] == list(spec.input_paths)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"mapperName": "map.sh"}, "inputPath"),
        ({"inputPath": "s3://in/x"}, "mapperName"),
        ({"inputs": TWO}, "mapperName"),
        ({"inputs": [], "mapperName": "map.sh"}, "inputPath"),
        ({"inputs": TWO, "mapperName": "map.sh", "inputPath": "s3://in/x"}, "inputPath"),
        ({"inputs": [{"mapperName": "map.sh"}]}, "inputs.0.inputPath"),
        ({"inputs": [{"inputPath": "s3://in/x", "mapper": "map.sh"}]}, "inputs.0.mapper"),
        ({"inputs": [{"inputPath": "ftp://in/x", "mapperName": "map.sh"}]}, "inputs.0.inputPath"),
        ({"inputs": [{"inputPath": "s3://in/x", "mapperName": "builtin:sum"}]}, "inputs.0.mapperName"),
        (
            {"inputs": [{"inputPath": "s3://in/x", "mapperName": "map.sh", "inputFormat": "xml"}]},
            "inputs.0.inputFormat",
        ),
        ({"inputs": TWO[:1] * 1001, "mapperName": "map.sh"}, "inputs"),
        ({"inputs": [{"inputPath": ["s3://in/x"] * 5001, "mapperName": "map.sh"}] * 2}, "inputs"),
        ({"inputPath": "s3://in/x", "mapperName": "map.sh", "inputFormat": "fixed:0"}, "inputFormat"),
        ({"inputPath": "s3://in/x", "mapperName": "map.sh", "inputFormat": 7}, "inputFormat"),
        ({"inputPath": "s3://in/x", "mapperName": "map.sh", "inputFormat": "lines:" + "x" * 5000}, "inputFormat"),
        ({"inputPath": "s3://in/x", "mapperName": "map.sh", "splitPolicy": "wide"}, "splitPolicy"),
        ({"inputPath": "s3://in/x", "mapperName": "map.sh", "allowNoInput": 1}, "allowNoInput"),
        ({"inputPath": "s3://in/x", "mapperName": "builtin:identity", "inputFormat": "csv"}, "mapperName"),
        ({"inputPath": "s3://in/x", "mapperName": "builtin:identity", "inputFormat": r"lines:\n"}, "mapperName"),
        ({"inputs": TWO, "mapperName": "builtin:identity", "inputFormat": "whole"}, "mapperName"),
    ],
)
async def test_what_is_wrong_is_named_with_the_fix(api, body, field):
    status, problem = await post(api, **body)
    assert status == 422
    assert fields(problem) == [field]
    assert problem["errors"][0]["message"]
    assert problem["errors"][0]["fix"]


async def test_a_mapper_of_one_input_that_does_not_exist_is_404(api):
    status, problem = await post(api, inputs=[TWO[0], {"inputPath": "s3://in/orders/", "mapperName": "none.py"}])
    assert (status, fields(problem)) == (404, ["inputs.1.mapperName"])


async def test_identity_maps_formats_of_lines(api):
    status, _ = await submit(api, mapperName="builtin:identity", inputFormat="jsonl")
    assert status == 201
