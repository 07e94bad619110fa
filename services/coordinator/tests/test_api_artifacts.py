"""Uploads, on a real server with the real store."""

import asyncio
import hashlib
import io
import json
import urllib.parse

import aiohttp
import pytest

from apollo_common.storage.policy import StorePolicy
from apollo_coordinator.api.settings import ApiSettings
from support.api_server import SCRIPT, running_api

UPLOAD_LIMIT = 300_000


@pytest.fixture
async def api(tmp_path):
    settings = ApiSettings(store_policy=StorePolicy(), max_upload_bytes=UPLOAD_LIMIT, body_timeout_s=0.5)
    async with running_api(tmp_path, settings) as running:
        yield running


def stored(api):
    """The files below the artifact store, by folder."""
    root = api.root / "artifacts"
    return {
        folder: sorted(path.name for path in (root / folder).iterdir()) for folder in ("blobs", "names", "incoming")
    }


NOTHING = {"blobs": [], "names": [], "incoming": []}


async def test_an_upload_is_answered_with_its_name_size_and_hash(api):
    status, answer = await api.upload("cat.sh")
    assert status == 200
    assert (answer["name"], answer["type"], answer["size"]) == ("cat.sh", "executable", len(SCRIPT))
    assert answer["hash"] == hashlib.sha256(SCRIPT).hexdigest()
    assert answer["protocol"] == "text"
    assert await api.call("GET", "/api/v1/artifacts/cat.sh") == (200, answer)
    assert await api.call("GET", "/api/v1/artifacts") == (200, [answer])


@pytest.mark.parametrize(
    "name", ["a b.py", "späße.sh", "100%.sh", "{x}", "a;b", "...", "x" * 255, "'quoted'", 'say "hi"', "back\\slash"]
)
async def test_any_plain_file_name_can_be_read_back(api, name):
    status, answer = await api.upload(name)
    assert (status, answer.get("name")) == (200, name)
    path = "/api/v1/artifacts/" + urllib.parse.quote(name, safe="")
    assert (await api.call("GET", path))[1] == answer
    async with api.http.delete(path) as deleted:
        assert (deleted.status, await deleted.read()) == (204, b"")
    assert (await api.call("GET", path))[0] == 404
    assert stored(api) == NOTHING


@pytest.mark.parametrize("name", ["a/b", ".", "..", "x" * 256, "a\tb", "builtin:sum", "shell:cat"])
async def test_a_name_that_cannot_be_used_is_422(api, name):
    status, problem = await api.upload(name)
    assert status == 422
    assert problem["errors"][0]["field"] == "program"
    assert stored(api) == NOTHING


@pytest.mark.parametrize("content", [b"", b"print('no shebang')", b"PK\x03\x04rest", b"MZ\x90\0"])
async def test_what_no_worker_could_execute_is_422_with_the_fix(api, content):
    status, problem = await api.upload("program", content)
    assert status == 422
    assert problem["errors"][0]["field"] == "program"
    assert problem["errors"][0]["fix"]
    assert stored(api) == NOTHING


async def test_a_side_file_may_hold_anything(api):
    status, answer = await api.upload("stop-words.txt", b"", type="file")
    assert (status, answer["type"]) == (200, "file")
    assert "protocol" not in answer
    assert (await api.upload("x", b"", type="folder"))[0] == 422


async def test_other_bytes_under_the_same_name_replace_it(api):
    await api.upload("cat.sh")
    _, answer = await api.upload("cat.sh", SCRIPT + b"# new\n")
    assert [item["hash"] for item in (await api.call("GET", "/api/v1/artifacts"))[1]] == [answer["hash"]]
    assert stored(api)["blobs"] == [answer["hash"]]


async def test_a_job_keeps_the_bytes_it_started_with_until_it_is_forgotten(api):
    _, old = await api.upload("cat.sh")
    body = {"inputPath": "s3://in/a", "outputPath": "s3://out/b", "mapperName": "cat.sh", "reducerName": "builtin:sum"}
    _, submitted = await api.call("POST", "/api/v1/jobs", json=body)
    assert (await api.call("DELETE", "/api/v1/artifacts/cat.sh"))[0] == 409
    _, new = await api.upload("cat.sh", SCRIPT + b"# new\n")
    assert stored(api)["blobs"] == sorted([old["hash"], new["hash"]])
    await api.call("DELETE", f"/api/v1/jobs/{submitted['job']['id']}")
    assert (await api.call("DELETE", "/api/v1/artifacts/cat.sh"))[0] == 204
    assert stored(api)["blobs"] == [old["hash"]]
    api.jobs.forget(submitted["job"]["id"])
    await api.upload("cat.sh", SCRIPT + b"# new\n")
    assert stored(api)["blobs"] == [new["hash"]]


async def test_unknown_artifacts_are_404(api):
    for method in ("GET", "DELETE"):
        status, problem = await api.call(method, "/api/v1/artifacts/none")
        assert (status, problem["status"]) == (404, 404)


async def test_too_large_an_upload_is_413_whether_it_says_so_or_not(api):
    form = aiohttp.FormData()
    form.add_field("program", io.BytesIO(SCRIPT + b"x" * (UPLOAD_LIMIT + 100_000)), filename="big.sh")
    assert (await api.call("PUT", "/api/v1/artifacts", data=form))[0] == 413

    async def slowly():
        yield b'--b\r\nContent-Disposition: form-data; name="program"; filename="big.sh"\r\n\r\n' + SCRIPT
        for _ in range(40):
            yield b"x" * 10_000

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    status, problem = await api.call("PUT", "/api/v1/artifacts", data=slowly(), headers=headers)
    assert (status, problem["status"]) == (413, 413)
    assert stored(api) == NOTHING


HEAD = b'--b\r\nContent-Disposition: form-data; name="program"; filename="cat.sh"\r\n\r\n' + SCRIPT
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (HEAD, MULTIPART),
        (HEAD + b"\r\n--", MULTIPART),
        (HEAD + b"\r\n--b", MULTIPART),
        (HEAD + b"\r\n--b\r\n", MULTIPART),
        (HEAD + b'\r\n--b\r\nContent-Disposition: form-data; name="more"\r\n\r\n1\r\n--b--\r\n', MULTIPART),
        (HEAD.replace(b"program", b"file") + b"\r\n--b--\r\n", MULTIPART),
        (HEAD.replace(b'; filename="cat.sh"', b"") + b"\r\n--b--\r\n", MULTIPART),
        (b"--b--\r\n", MULTIPART),
        (b"", MULTIPART),
        (b"rubbish", MULTIPART),
        (SCRIPT, {"Content-Type": "application/octet-stream"}),
        (b"{}", {"Content-Type": "application/json"}),
        (HEAD, {"Content-Type": "multipart/form-data"}),
    ],
)
async def test_a_damaged_or_wrong_form_is_422_and_leaves_nothing(api, body, headers):
    status, problem = await api.call("PUT", "/api/v1/artifacts", data=body, headers=headers)
    assert (status, [error["field"] for error in problem["errors"]]) == (422, ["program"]), problem
    assert stored(api) == NOTHING


async def test_an_upload_whose_connection_breaks_leaves_nothing(api):
    _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(
        b"PUT /api/v1/artifacts HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + HEAD + b"x" * 100_000
    )
    await writer.drain()
    async with asyncio.timeout(10):
        while not stored(api)["incoming"]:
            await asyncio.sleep(0.01)
        writer.close()
        while stored(api) != NOTHING:
            await asyncio.sleep(0.01)


async def test_an_upload_that_stalls_is_ended_with_408(api):
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(
        b"PUT /api/v1/artifacts HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + HEAD
    )
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    writer.close()
    assert stored(api) == NOTHING


async def test_an_upload_that_trickles_in_is_ended_with_408(tmp_path):
    settings = ApiSettings(store_policy=StorePolicy(), upload_timeout_s=0.5)

    async def drops():
        yield HEAD
        for _ in range(1000):
            await asyncio.sleep(0.05)
            yield b"x"

    async with running_api(tmp_path, settings) as api, asyncio.timeout(20):
        assert (await api.call("PUT", "/api/v1/artifacts", data=drops(), headers=MULTIPART))[0] == 408
        assert stored(api) == NOTHING


async def test_artifacts_are_listed_in_order_of_creation(api):
    for name in ("c", "a", "b"):
        await api.upload(name)
        await asyncio.sleep(0.002)  # creation times are milliseconds
    await api.upload("c", SCRIPT + b"# new\n")
    _, page = await api.call("GET", "/api/v1/artifacts?limit=2")
    _, rest = await api.call("GET", "/api/v1/artifacts?limit=2&after=a")
    assert [item["name"] for item in page + rest] == ["c", "a", "b"]


async def test_answers_hold_no_path_of_the_coordinator(api):
    await api.upload("cat.sh")
    for path in ("/api/v1/artifacts", "/api/v1/artifacts/cat.sh", "/api/v1/artifacts/none"):
        assert str(api.root) not in json.dumps(await api.call("GET", path))
