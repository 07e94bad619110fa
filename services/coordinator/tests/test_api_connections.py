"""Raw sockets: stalled and malformed requests, unknown methods and paths, and what leaves with answers and metrics."""

import asyncio
import json

import pytest

from apollo_common.storage.policy import StorePolicy
from apollo_coordinator.api.settings import ApiSettings
from support.api_server import running_api

QUICK = ApiSettings(
    store_policy=StorePolicy(), header_timeout_s=0.4, body_timeout_s=0.4, linger_s=0.2, write_timeout_s=0.4
)
SOON_S = 20


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path) as running:
        yield running


@pytest.fixture
async def quick(tmp_path):
    async with running_api(tmp_path, QUICK) as running:
        yield running


async def exchange(port, content):
    """Send bytes, and read until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(content)
    await writer.drain()
    async with asyncio.timeout(SOON_S):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GET /heal",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 100,
    ],
)
async def test_a_connection_with_stalled_headers_is_closed(quick, content):
    assert await exchange(quick.port, content) == b""


async def test_headers_that_stall_after_an_answer_close_the_connection_too(quick):
    first = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await exchange(quick.port, first + b"GET /healthz HTTP/1.1\r\nHo")
    assert answer.count(b"HTTP/1.1 200 OK") == 1


async def test_headers_that_trickle_in_are_closed_too(quick):
    reader, writer = await asyncio.open_connection("127.0.0.1", quick.port)
    async with asyncio.timeout(SOON_S):
        closed = asyncio.create_task(reader.read())
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        while not closed.done():
            writer.write(b"a: b\r\n")
            await asyncio.sleep(0.1)
        assert await closed == b""
    writer.close()


@pytest.mark.parametrize("start", [b"", b'{"nReducers": 1, '])
async def test_a_body_that_stalls_is_ended_with_408(quick, start):
    answer = await exchange(quick.port, b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n" + start)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize("path", [b"/healthz", b"/none", b"/api/v1/jobs/none"])
async def test_a_stalled_body_that_nobody_wants_closes_the_connection(quick, path):
    answer = await exchange(quick.port, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 ")


async def test_a_client_that_does_not_read_is_dropped(quick):
    body = {
        "inputPath": ["s3://in/" + "x" * 1000] * 4,
        "outputPath": "s3://out/x",
        "mapperName": "shell:cat",
        "nReducers": 0,
    }
    for _ in range(100):
        assert (await quick.call("POST", "/api/v1/jobs", json=body))[0] == 201
    _, writer = await asyncio.open_connection("127.0.0.1", quick.port, limit=1024)
    writer.transport.pause_reading()
    writer.write(b"GET /api/v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
    async with asyncio.timeout(SOON_S):
        while True:  # a dropped connection refuses what is written to it
            try:
                writer.write(b"\r\n")
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0.05)
    writer.close()


@pytest.mark.parametrize(
    "content",
    [
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 10_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"".join(b"a%d: b\r\n" % index for index in range(300)) + b"\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET rubbish\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_malformed_and_oversized_headers_are_400_and_close(quick, content):
    answer = await exchange(quick.port, content)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"application/problem+json" in answer
    assert b"bbbb" not in answer


async def test_a_damaged_chunked_body_is_400(quick):
    answer = await exchange(
        quick.port, b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"
    )
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/v1/artifacts", "GET, HEAD, PUT"),
        ("PATCH", "/api/v1/jobs", "GET, HEAD, POST"),
        ("PUT", "/api/v1/jobs/x", "DELETE, GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("PROPFIND", "/docs", "GET, HEAD"),
        ("TRACE", "/api/v1/jobs", "GET, HEAD, POST"),
        ("BREW", "/docs", "DELETE, GET, HEAD, POST, PUT"),
        ("OPTIONS", "/api/v1/workers", "GET, HEAD"),
    ],
)
async def test_an_unknown_method_is_405_with_allow(api, method, path, allowed):
    async with api.http.request(method, path) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, allowed)
        assert answer.content_type == "application/problem+json"
        assert (await answer.json(content_type=None))["status"] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/web",
        "/web/",
        "/web/x",
        "/web/__init__.py",
        "/api/v2/jobs",
        "/api/v1/jobs/",
        "/api/v1/jobs/a/b",
        "/../etc/passwd",
    ],
)
async def test_an_unknown_path_is_a_404_problem(api, path):
    status, problem = await api.call("GET", path)
    assert (status, problem["title"]) == (404, "Not Found")


async def test_requests_are_counted_by_template(api):
    await api.call("GET", "/api/v1/jobs/secretjobid")
    await api.call("GET", "/nowhere/at/all")
    async with api.http.get("/metrics") as answer:
        text = await answer.text()
    assert 'apollo_http_requests_total{method="GET",route="/api/v1/jobs/{id}",status="4xx"} 1.0' in text
    assert 'apollo_http_requests_total{method="GET",route="unmatched",status="4xx"} 1.0' in text
    assert "secretjobid" not in text


async def test_the_first_error_of_a_route_is_seen_to_rise(api):
    """`increase` sees what comes first only in a series that was there before."""
    async with api.http.get("/metrics") as answer:
        text = await answer.text()
    assert 'apollo_http_requests_total{method="POST",route="/api/v1/jobs",status="5xx"} 0.0' in text
    assert 'apollo_http_requests_total{method="GET",route="/api/v1/jobs/{id}",status="5xx"} 0.0' in text


async def test_no_secret_is_in_any_answer_log_or_metric(api, capfd, caplog):
    secret = "hush-hush-4711"
    credentials = {"username": f"user-{secret}", "password": f"pass-{secret}"}
    await api.upload("map.sh")
    body = {
        "inputPath": "s3://in/a",
        "outputPath": "s3://out/b",
        "mapperName": "map.sh",
        "nReducers": 0,
        "inputStorageCredentials": credentials,
        "outputStorageCredentials": credentials,
        "env": {"API_KEY": secret},
    }
    answers = [await api.call("POST", "/api/v1/jobs", json=body, headers={"Idempotency-Key": "k"})]
    for changes in (
        {"inputStorageCredentials": {**credentials, "extra": secret}},
        {"inputStorageCredentials": f"{secret}"},
        {"inputStorageCredentials": {"username": secret, "password": [secret]}},
        {"inputPath": f"http://user:{secret}@host/in/a"},
        {"outputPath": f"s3://user:{secret}@out/a"},
        {"inputPath": f"https://host/in/a?X-Amz-Signature={secret}"},
        {"splitSize": secret},
        {"env": {"A": [secret]}},
    ):
        answers.append(await api.call("POST", "/api/v1/jobs", json={**body, **changes}))  # noqa: PERF401
    api.jobs.refuse = RuntimeError("something else went wrong")
    answers.append(await api.call("POST", "/api/v1/jobs", json=body))
    job = answers[0][1]["job"]["id"]
    for path in (
        "jobs",
        f"jobs/{job}",
        f"jobs/{job}/tasks",
        f"jobs/{job}/counters",
        f"jobs/{job}/timings",
        f"jobs/{job}/bad-records",
        f"jobs/{job}/explanation",
        "artifacts",
        "workers",
    ):
        answers.append(await api.call("GET", f"/api/v1/{path}"))  # noqa: PERF401
    async with api.http.get("/metrics") as metrics:
        answers.append(await metrics.text())
    assert [answer[0] for answer in answers[:10]] == [201, *[422] * 8, 500]
    assert secret not in json.dumps(answers)
    assert secret not in repr(api.jobs.secrets)
    assert secret not in repr(api.jobs.jobs()[0].spec.input_paths)
    captured = capfd.readouterr()
    assert secret not in captured.out + captured.err + caplog.text
