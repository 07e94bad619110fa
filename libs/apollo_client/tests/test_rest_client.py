"""RestClient against the coordinator's real HTTP API."""

import asyncio
import os
import socket

import pytest

from apollo_client import rest
from apollo_client.errors import CoordinatorUnreachable, NotACoordinator, RequestRefused
from apollo_client.rest import RestClient
from apollo_common.errors import StorageUnavailable
from apollo_coordinator.auth.static_tokens import OperatorToken
from apollo_coordinator.core.model import AttemptStatus, JobStatus
from support.api_server import running_api
from support.proxy import CuttingProxy

BODY = {
    "inputPath": "s3://in/books/",
    "outputPath": "s3://out/words",
    "mapperName": "shell:cat",
    "reducerName": "builtin:sum",
}


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path / "coordinator") as running:
        yield running


@pytest.fixture
async def client(api):
    async with RestClient(f"http://127.0.0.1:{api.port}") as client:
        yield client


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class TestJobs:
    async def test_a_job_is_submitted_and_stopped(self, client):
        job = (await client.submit(BODY))["job"]
        assert (await client.job(job["id"]))["status"] == "queued"
        assert (await client.stop(job["id"]))["status"] == "stopped"
        assert [found["id"] async for found in client.jobs()] == [job["id"]]

    async def test_the_same_key_gives_the_same_job(self, client):
        first = await client.submit(BODY, idempotency_key="once")
        again = await client.submit(BODY, idempotency_key="once")
        assert first["job"]["id"] == again["job"]["id"]

    async def test_a_list_of_several_pages_comes_whole_and_in_order(self, client, monkeypatch):
        monkeypatch.setattr(rest, "PAGE_SIZE", 2)
        made = [(await client.submit(BODY))["job"]["id"] for _ in range(5)]
        assert [job["id"] async for job in client.jobs()] == made

    async def test_a_wrong_field_is_named(self, client):
        with pytest.raises(RequestRefused) as refused:
            await client.submit(BODY | {"nReducers": "2"})
        assert refused.value.status == 422
        assert [field.field for field in refused.value.fields] == ["nReducers"]

    async def test_what_is_wrong_is_said_once(self, client):
        with pytest.raises(RequestRefused) as refused:
            await client.submit(BODY | {"nReducers": "2", "overwrite": 1})
        said = str(refused.value)
        assert [said.count(f"{field}:") for field in ("nReducers", "overwrite")] == [1, 1]
        assert [said.count(field.fix) for field in refused.value.fields] == [1, 1]
        assert ".." not in said

    async def test_a_store_that_does_not_answer_is_said_at_once(self, api, client):
        api.jobs.refuse = StorageUnavailable("s3://in does not answer.")
        with pytest.raises(RequestRefused, match="s3://in does not answer") as refused:
            await client.submit(BODY)
        assert refused.value.status == 502

    async def test_a_job_id_cannot_reach_another_path(self, client):
        with pytest.raises(RequestRefused) as refused:
            await client.job("../artifacts")
        assert refused.value.status == 404


class TestEvents:
    async def test_they_come_until_the_job_has_ended(self, api, client):
        job = api.jobs.job((await client.submit(BODY))["job"]["id"])
        api.jobs.start(job, maps=1, reduces=1)
        asyncio.get_running_loop().call_later(0.1, api.jobs.end, job, JobStatus.SUCCEEDED)
        events = [event async for event in client.events(job.id)]
        assert [event.id for event in events] == [1, 2, 3]
        assert events[-1].kind == "job_ended"
        assert events[-1].body["status"] == "succeeded"

    async def test_after_says_where_to_go_on(self, api, client):
        job = api.jobs.job((await client.submit(BODY))["job"]["id"])
        api.jobs.start(job, maps=1, reduces=1)
        api.jobs.end(job, JobStatus.FAILED)
        assert [event.id async for event in client.events(job.id, after=2)] == [3]

    async def test_a_cut_connection_is_resumed_without_a_gap(self, api, client):
        job = api.jobs.job((await client.submit(BODY))["job"]["id"])
        api.jobs.start(job, maps=1, reduces=1)
        asyncio.get_running_loop().call_later(0.3, api.jobs.end, job, JobStatus.SUCCEEDED)
        proxy = CuttingProxy(f"127.0.0.1:{api.port}", cut_after_bytes=300, cuts=1)
        async with proxy, RestClient(f"http://{proxy.address}") as client_behind:
            assert [event.id async for event in client_behind.events(job.id)] == [1, 2, 3]
        assert proxy.cuts_left == 0

    async def test_of_an_unknown_job_is_an_error_at_once(self, client):
        with pytest.raises(RequestRefused) as refused:
            await anext(client.events("nojob"))
        assert refused.value.status == 404


class TestLogs:
    async def test_a_cut_connection_is_resumed_behind_what_has_come(self, api, client):
        job = api.jobs.job((await client.submit(BODY))["job"]["id"])
        api.jobs.start(job, maps=1, reduces=1)
        attempt = job.maps[0].attempts[0]
        lines = b"".join(b"line %d\n" % number for number in range(20_000))
        await api.logs.append(attempt.id, lines, 0)
        await api.logs.close_attempt(attempt.id)
        attempt.status = AttemptStatus.SUCCEEDED
        proxy = CuttingProxy(f"127.0.0.1:{api.port}", cut_after_bytes=50_000, cuts=2)
        async with proxy, RestClient(f"http://{proxy.address}") as client_behind:
            assert b"".join([chunk async for chunk in client_behind.log(attempt.id, follow=True)]) == lines
        assert proxy.cuts_left == 0

    async def test_bytes_that_were_cut_off_are_resumed_too(self, api, client):
        content = b"#!/bin/sh\n" + b"".join(b"# %d\n" % number for number in range(20_000))
        _, artifact = await api.upload("long.sh", content)
        proxy = CuttingProxy(f"127.0.0.1:{api.port}", cut_after_bytes=50_000, cuts=2)
        async with proxy, RestClient(f"http://{proxy.address}") as client_behind:
            received = [chunk async for chunk in client_behind.artifact_bytes(artifact["hash"])]
        assert (b"".join(received), proxy.cuts_left) == (content, 0)

    async def test_bytes_of_an_empty_file_are_none(self, client, tmp_path):
        (tmp_path / "none.txt").touch()
        digest = (await client.upload(tmp_path / "none.txt", side_file=True))["hash"]
        assert [chunk async for chunk in client.artifact_bytes(digest)] == []

    async def test_bytes_are_not_resumed_by_what_sends_them_all_again(self):
        asked = []

        async def stranger(reader, writer):
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + b"abcd" * len(asked))
            writer.close()

        server = await asyncio.start_server(stranger, "127.0.0.1", 0)
        async with server, RestClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
            content = client.artifact_bytes("digest")
            assert await anext(content) == b"abcd"
            with pytest.raises(NotACoordinator, match="drops Range"):
                await anext(content)
        assert b"Range: bytes=4-" in asked[1]

    async def test_of_an_unknown_attempt_is_an_error_at_once(self, client):
        with pytest.raises(RequestRefused) as refused:
            await anext(client.log("nojob-m-00000-0"))
        assert refused.value.status == 404


class TestArtifacts:
    @pytest.mark.parametrize("name", ["map.py", "two words.sh", "wörter.sh", 'quo"te.sh', "100%.sh"])
    async def test_a_name_survives(self, client, tmp_path, name):
        program = tmp_path / name
        program.write_bytes(b"#!/bin/sh\ncat\n")
        assert (await client.upload(program))["name"] == name
        assert (await client.artifact(name))["size"] == 14
        await client.delete_artifact(name)
        assert await client.artifact(name) is None

    async def test_a_large_file_is_streamed(self, client, tmp_path):
        content = b"#!/bin/sh\n" + os.urandom(5 << 20)
        (tmp_path / "large").write_bytes(content)
        assert (await client.upload(tmp_path / "large"))["size"] == len(content)

    async def test_a_side_file_may_hold_anything(self, client, tmp_path):
        (tmp_path / "stop.txt").write_bytes(b"a\nthe\n")
        assert (await client.upload(tmp_path / "stop.txt", side_file=True))["type"] == "file"

    async def test_what_is_no_program_is_refused_by_name(self, client, tmp_path):
        (tmp_path / "empty").touch()
        with pytest.raises(RequestRefused, match="empty"):
            await client.upload(tmp_path / "empty")


class TestConnection:
    @pytest.fixture
    def impatient(self, monkeypatch):
        monkeypatch.setattr(rest, "PATIENCE_SECONDS", 0.2)

    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize("ask", [RestClient.job, lambda client, job: anext(client.events(job))])
    async def test_nobody_there_is_said_with_what_to_do(self, ask):
        async with RestClient(f"http://127.0.0.1:{free_port()}") as client:
            async with asyncio.timeout(rest.RESTART_PATIENCE_SECONDS / 2):
                with pytest.raises(CoordinatorUnreachable, match=r"apollo up --port \d+`, and with the --data-dir"):
                    await ask(client, "x")

    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize(
        ("scheme", "answer", "said"),
        [
            ("http", b"", "broke the connection off"),
            ("http", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP"),
            ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks no TLS: write http://"),
        ],
    )
    async def test_what_is_no_coordinator_is_said_to_be_there(self, scheme, answer, said):
        async def stranger(reader, writer):
            await reader.read(1)
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(stranger, "127.0.0.1", 0)
        async with server, RestClient(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
            with pytest.raises(CoordinatorUnreachable, match=said) as unreachable:
                await client.job("x")
        assert "apollo up" not in str(unreachable.value)

    @pytest.mark.usefixtures("impatient")
    async def test_a_coordinator_that_hangs_is_told_apart_from_none(self, monkeypatch):
        monkeypatch.setattr(rest, "READ_TIMEOUT_SECONDS", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as hanging:
            async with RestClient(f"http://127.0.0.1:{hanging.getsockname()[1]}") as client:
                with pytest.raises(CoordinatorUnreachable, match="it does not answer") as unreachable:
                    await client.job("x")
        assert "apollo up" not in str(unreachable.value)

    @pytest.mark.usefixtures("impatient")
    async def test_a_name_that_does_not_resolve_is_said(self):
        async with RestClient("http://nowhere.invalid:4750") as client:  # RFC 2606
            with pytest.raises(CoordinatorUnreachable, match="does not resolve"):
                await client.job("x")

    async def test_a_coordinator_that_is_about_to_listen_is_waited_for(self, tmp_path):
        path = tmp_path / "api.sock"

        async def answer(reader, writer):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n")
            writer.write(b'{"id": "x"}')
            await writer.drain()
            writer.close()

        async with RestClient(f"unix://{path}") as client:
            asked = asyncio.create_task(client.job("x"))
            await asyncio.sleep(0.2)
            async with await asyncio.start_unix_server(answer, path):
                assert await asked == {"id": "x"}

    async def test_the_token_is_sent(self, tmp_path):
        authenticator = OperatorToken("s3cret")
        async with running_api(tmp_path / "coordinator", authenticator=authenticator) as api:
            url = f"http://127.0.0.1:{api.port}"
            async with RestClient(url, token="s3cret") as client:
                assert [job async for job in client.jobs()] == []
            async with RestClient(url) as stranger:
                with pytest.raises(RequestRefused, match=r"Set APOLLO_TOKEN") as refused:
                    await stranger.job("x")
            assert refused.value.status == 401
            async with RestClient(url, token="expired-one") as late:
                with pytest.raises(RequestRefused, match=r"has expired.*get a new one") as refused:
                    await late.job("x")
            assert "expired-one" not in str(refused.value)

    async def test_something_else_at_the_address_is_told_apart(self):
        async def web_page(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(web_page, "127.0.0.1", 0)
        async with server, RestClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
            with pytest.raises(NotACoordinator, match="is it a coordinator"):
                await client.job("x")

    @pytest.mark.parametrize("url", ["localhost:4750", "ftp://x", "http://", "unix://relative", ""])
    def test_what_is_no_address_is_refused(self, url):
        with pytest.raises(NotACoordinator, match="no address of a coordinator"):
            RestClient(url)
