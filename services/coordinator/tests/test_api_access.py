"""Who may call what, over HTTP: tokens, roles, owners, pages of other sites; and what they leave in the log."""

import asyncio
import json
import re

import pytest
from structlog.testing import capture_logs

from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.auth.static_tokens import TokensFile
from apollo_coordinator.callers import AuthenticationUnavailable
from apollo_coordinator.core.model import JobStatus
from support.api_server import running_api
from support.tokens import TOKENS, bearer, tokens_file

BODY = {"inputPath": "s3://in/a", "outputPath": "s3://out/b", "mapperName": "shell:cat", "nReducers": 0}
JOBS = "/api/v1/jobs"
OWNERS_ALONE = {
    "get /api/v1/tasks/{id}/replay",
    "get /api/v1/artifact-bytes/{digest}",
    "get /api/v1/attempts/{id}/map-output/{file}",
}
"""Calls that change nothing, and show what no viewer sees."""


@pytest.fixture
async def api(tmp_path):
    authenticator = await TokensFile.open(tokens_file(tmp_path / "tokens"))
    async with running_api(tmp_path, authenticator=authenticator) as running:
        yield running


@pytest.fixture
async def open_api(tmp_path):
    async with running_api(tmp_path) as running:
        yield running


async def submit(api, user, **changes):
    status, answer = await api.call("POST", JOBS, json=BODY | changes, headers=bearer(user))
    assert status == 201, answer
    return answer["job"]


def audited(logs):
    return [entry for entry in logs if entry["event"] == "audit"]


async def refusals(api):
    """How many calls were refused, by reason."""
    async with api.http.get("/metrics") as answer:
        text = await answer.text()
    prefix = "apollo_http_refusals_total{"
    found = (line.removeprefix(prefix).split("} ") for line in text.splitlines() if line.startswith(prefix))
    return {labels.partition('"')[2].rstrip('"'): float(count) for labels, count in found if float(count)}


class TestTokens:
    @pytest.mark.parametrize("path", [JOBS, "/api/v1/artifacts", f"{JOBS}/x/events", "/docs", "/openapi.json", "/none"])
    @pytest.mark.parametrize(
        ("given", "challenge"),
        [
            (None, "Bearer"),
            ("", "Bearer"),
            ("Bearer", "Bearer"),
            ("Basic alice-token-7Qp", "Bearer"),
            ("alice-token-7Qp", "Bearer"),
            ("Bearer alice-token-7Q", 'Bearer error="invalid_token"'),
            ("Bearer \xe9", 'Bearer error="invalid_token"'),
            ("Bearer alice-token-7Qp alice-token-7Qp", 'Bearer error="invalid_token"'),
        ],
    )
    async def test_without_a_right_one_there_is_nothing(self, api, path, given, challenge):
        headers = {} if given is None else {"Authorization": given}
        async with api.http.get(path, headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == challenge
            assert answer.content_type == "application/problem+json"
            assert "alice-token" not in await answer.text()

    @pytest.mark.parametrize("path", [JOBS, "/docs", "/openapi.json", "/api/v1/workers"])
    async def test_with_one_a_viewer_reads_all(self, api, path):
        async with api.http.get(path, headers=bearer("vera")) as answer:
            assert answer.status == 200

    @pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
    async def test_probes_and_metrics_need_none(self, api, path):
        async with api.http.get(path) as answer:
            assert answer.status == 200

    async def test_who_cannot_be_asked_lets_nobody_in(self, tmp_path):
        class Silent:
            async def authenticate(self, token, remote):
                raise AuthenticationUnavailable("the cluster cannot be asked")

            async def close(self):
                pass

        async with running_api(tmp_path, authenticator=Silent()) as api:
            async with api.http.get(JOBS, headers=bearer("root")) as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "10")
                assert (await answer.json(content_type=None))["type"].endswith(":authentication_unavailable")
            assert await refusals(api) == {"authentication_unavailable": 1}

    async def test_the_description_says_whether_they_are_needed(self, api, open_api):
        async with api.http.get("/openapi.json", headers=bearer("vera")) as answer:
            asks = await answer.json()
        async with open_api.http.get("/openapi.json") as answer:
            asks_nobody = await answer.json()
        assert (asks["security"], asks_nobody["security"]) == ([{"token": []}], [{}])
        assert asks["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
        assert asks["paths"]["/healthz"]["get"]["security"] == []
        roles = {
            f"{method} {path}": operation["description"]
            for path, operations in asks["paths"].items()
            for method, operation in operations.items()
        }
        changing = {call for call, role in roles.items() if role == "Needs the role submitter."}
        assert changing == {call for call in roles if not call.startswith("get ")} | OWNERS_ALONE

    async def test_every_call_that_is_described_asks_as_it_says(self, api):
        async with api.http.get("/openapi.json", headers=bearer("vera")) as answer:
            document = await answer.json()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                target = re.sub(r"{\w+}", "none", path)
                async with api.http.request(method, target) as answer:
                    assert (answer.status == 401) == (operation.get("security") != []), (method, path)
                async with api.http.request(method, target, headers=bearer("vera")) as answer:
                    assert (answer.status == 403) == (method != "get" or f"get {path}" in OWNERS_ALONE), (method, path)


class TestRoles:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", JOBS),
            ("PUT", "/api/v1/artifacts"),
            ("DELETE", f"{JOBS}/job000000000"),
            ("DELETE", "/api/v1/artifacts/map.sh"),
        ],
    )
    async def test_a_viewer_changes_nothing(self, api, method, path):
        await submit(api, "alice")
        await api.upload("map.sh", headers=bearer("alice"))
        async with api.http.request(method, path, json=BODY, headers=bearer("vera")) as answer:
            assert answer.status == 403
            assert answer.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="submitter"'
            problem = await answer.json(content_type=None)
        assert problem["detail"] == "This needs the role submitter; vera is viewer."
        assert [job.status for job in api.jobs.jobs()] == [JobStatus.QUEUED]
        assert await api.artifacts.get("map.sh") is not None

    async def test_a_job_is_its_submitters(self, api):
        job = await submit(api, "alice")
        assert job["user"] == "alice"
        path = f"{JOBS}/{job['id']}"
        status, problem = await api.call("DELETE", path, headers=bearer("bob"))
        assert (status, problem["type"]) == (403, "urn:apollo:problem:not_owner")
        assert problem["detail"] == f"job {job['id']} belongs to alice: only its owner or an admin may do this"
        assert (await api.call("GET", path, headers=bearer("bob")))[1]["status"] == "queued"
        assert (await api.call("DELETE", path, headers=bearer("alice")))[1]["status"] == "stopped"

    async def test_an_admin_stops_any_job(self, api):
        job = await submit(api, "alice")
        assert (await api.call("DELETE", f"{JOBS}/{job['id']}", headers=bearer("root")))[1]["status"] == "stopped"

    async def test_an_artifact_is_replaced_and_deleted_by_its_owner_and_admins(self, api):
        first, second, third = (b"#!/bin/sh\ncat #%d\n" % number for number in range(3))
        assert (await api.upload("map.sh", first, headers=bearer("alice")))[1]["user"] == "alice"
        status, problem = await api.upload("map.sh", second, headers=bearer("bob"))
        assert (status, problem["type"]) == (403, "urn:apollo:problem:not_owner")
        status, problem = await api.call("DELETE", "/api/v1/artifacts/map.sh", headers=bearer("bob"))
        assert (status, "belongs to alice" in problem["detail"]) == (403, True)
        assert api.artifacts.path((await api.artifacts.get("map.sh")).digest).read_bytes() == first
        assert (await api.upload("map.sh", second, headers=bearer("alice")))[0] == 200
        status, answer = await api.upload("map.sh", third, headers=bearer("root"))
        assert (status, answer["user"]) == (200, "alice")
        async with api.http.delete("/api/v1/artifacts/map.sh", headers=bearer("alice")) as deleted:
            assert deleted.status == 204

    async def test_the_same_bytes_again_replace_nothing(self, api):
        await api.upload("map.sh", headers=bearer("alice"))
        status, answer = await api.upload("map.sh", headers=bearer("bob"))
        assert (status, answer["user"]) == (200, "alice")
        assert (await api.upload("map.sh", headers=bearer("bob"), type="file"))[0] == 403

    async def test_what_was_made_before_anybody_was_asked_is_an_admins(self, tmp_path):
        async with running_api(tmp_path) as before:
            assert "user" not in (await before.upload("old.sh"))[1]
        authenticator = await TokensFile.open(tokens_file(tmp_path / "tokens"))
        async with running_api(tmp_path, authenticator=authenticator) as api:
            path = "/api/v1/artifacts/old.sh"
            status, problem = await api.call("DELETE", path, headers=bearer("alice"))
            assert (status, "belongs to nobody: only an admin" in problem["detail"]) == (403, True)
            async with api.http.delete(path, headers=bearer("root")) as deleted:
                assert deleted.status == 204

    async def test_users_idempotency_keys_are_apart(self, api):
        async def send(user, **changes):
            headers = bearer(user) | {"Idempotency-Key": "nightly"}
            status, answer = await api.call("POST", JOBS, json=BODY | changes, headers=headers)
            return status, answer["job"]["id"] if "job" in answer else answer["type"]

        status, first = await send("alice")
        assert status == 201
        assert await send("alice") == (200, first)
        status, second = await send("bob", name="another")
        assert (status, second != first) == (201, True)
        assert await send("bob", name="another") == (200, second)


class TestOtherSites:
    @pytest.mark.parametrize("origin", ["https://evil.example", "http://evil.example:{port}", "http://[", "null"])
    async def test_their_pages_do_nothing(self, open_api, origin):
        headers = {"Origin": origin.format(port=open_api.port)}
        assert (await open_api.call("POST", JOBS, data=b"{}", headers=headers))[0] == 403
        assert (await open_api.call("GET", JOBS, headers=headers))[0] == 403
        # A name that was made to resolve to this machine (DNS rebinding): Origin and Host agree, and yet.
        headers |= {"Host": headers["Origin"].removeprefix("http://").removeprefix("https://")}
        assert (await open_api.call("DELETE", f"{JOBS}/x", headers=headers))[0] == 403

    @pytest.mark.parametrize("path", [JOBS, f"{JOBS}/x/events", "/metrics", "/nowhere"])
    async def test_pages_whose_name_resolves_to_this_machine_read_nothing(self, tmp_path, path):
        """DNS rebinding: to the browser the page and the coordinator are one site, so no Origin comes with a GET."""
        async with running_api(tmp_path, ApiSettings(local_names_only=True)) as api:
            for host in ("evil.example", f"evil.example:{api.port}", "localhost.evil.example", "[", ""):
                async with api.http.get(path, headers={"Host": host}) as answer:
                    assert (answer.status, "local" in await answer.text()) == (403, True), host
            for host in ("localhost", f"localhost:{api.port}", "127.0.0.1", f"[::1]:{api.port}"):
                async with api.http.get(path, headers={"Host": host}) as answer:
                    assert answer.status != 403, host

    async def test_pages_of_the_coordinator_itself_may(self, open_api):
        headers = {"Origin": f"http://127.0.0.1:{open_api.port}"}
        assert (await open_api.call("POST", JOBS, data=b"{}", headers=headers))[0] == 422

    async def test_where_tokens_are_asked_for_any_name_of_the_coordinators_own_may(self, api):
        headers = bearer("alice") | {"Host": "apollo.example", "Origin": "https://apollo.example"}
        assert (await api.call("POST", JOBS, json=BODY, headers=headers))[0] == 201
        assert (await api.call("GET", JOBS, headers=headers | {"Origin": "https://evil.example"}))[0] == 403


class TestAudit:
    async def test_a_line_for_every_change(self, api):
        with capture_logs() as logs:
            job = (await submit(api, "alice"))["id"]
            await api.upload("map.sh", headers=bearer("alice"))
            await api.call("GET", f"{JOBS}/{job}", headers=bearer("alice"))
            await api.call("DELETE", f"{JOBS}/{job}", headers=bearer("root"))
            await api.call("DELETE", "/api/v1/artifacts/none", headers=bearer("alice"))
        common = {"event": "audit", "log_level": "info", "remote": "127.0.0.1", "reason": ""}
        alice = common | {"user": "alice", "role": "submitter"}
        assert audited(logs) == [
            alice | {"method": "POST", "route": JOBS, "status": 201, "job": job},
            alice | {"method": "PUT", "route": "/api/v1/artifacts", "status": 200, "artifact": "map.sh"},
            common | {"user": "root", "role": "admin", "method": "DELETE", "route": f"{JOBS}/{{id}}", "status": 200}
            | {"job": job},
            alice | {"method": "DELETE", "route": "/api/v1/artifacts/{name}", "status": 404, "artifact": "none"}
            | {"reason": "object_not_found"},
        ]  # fmt: skip

    async def test_a_line_and_a_count_for_every_refusal(self, api):
        job = (await submit(api, "alice"))["id"]
        calls = [
            ("GET", JOBS, {}, 401, "token_missing"),
            ("GET", f"{JOBS}/{job}/events", {}, 401, "token_missing"),
            ("GET", JOBS, {"Authorization": "Bearer stolen"}, 401, "token_invalid"),
            ("POST", JOBS, bearer("vera"), 403, "role_missing"),
            ("DELETE", f"{JOBS}/{job}", bearer("bob"), 403, "not_owner"),
            ("GET", JOBS, bearer("bob") | {"Origin": "https://evil.example"}, 403, "foreign_origin"),
        ]
        with capture_logs() as logs:
            for method, path, headers, status, reason in calls:
                async with api.http.request(method, path, headers=headers) as answer:
                    assert answer.status == status, reason
        lines = audited(logs)
        assert [(line["status"], line["reason"], line["log_level"]) for line in lines] == [
            (status, reason, "warning") for _, _, _, status, reason in calls
        ]
        assert [line["user"] for line in lines] == ["", "", "", "vera", "bob", ""]
        assert [line.get("job") for line in lines] == [None, job, None, None, job, None]
        assert "stolen" not in json.dumps(logs, default=str)
        assert await refusals(api) == {
            "token_missing": 2,
            "token_invalid": 1,
            "role_missing": 1,
            "not_owner": 1,
            "foreign_origin": 1,
        }

    async def test_what_a_caller_chooses_is_bounded_and_on_one_line(self, api):
        with capture_logs() as logs:
            await api.call("DELETE", "/api/v1/artifacts/a%0Ab", headers=bearer("alice"))
            await api.call("DELETE", "/api/v1/artifacts/" + "x" * 4000, headers=bearer("alice"))
        assert [line["artifact"] for line in audited(logs)] == [ascii("a\nb"), "x" * 512]

    @pytest.mark.parametrize(("method", "user", "status"), [("POST", "alice", 201), ("DELETE", "root", 200)])
    async def test_what_a_client_that_has_left_began_is_told_as_it_ended(self, api, method, user, status):
        job = (await submit(api, "alice"))["id"]
        entered, go = asyncio.Event(), asyncio.Event()

        def slowly(work):
            async def later(*arguments):
                entered.set()
                await go.wait()
                return await work(*arguments)

            return later

        api.jobs.submit, api.jobs.stop = slowly(api.jobs.submit), slowly(api.jobs.stop)
        with capture_logs() as logs:
            path = JOBS if method == "POST" else f"{JOBS}/{job}"
            call = asyncio.create_task(api.call(method, path, json=BODY, headers=bearer(user)))
            await entered.wait()
            call.cancel()
            await asyncio.wait([call])
            await asyncio.sleep(0.05)  # the server sees the connection close
            assert audited(logs) == []
            go.set()
            async with asyncio.timeout(20):
                while not audited(logs):
                    await asyncio.sleep(0.01)
        (line,) = audited(logs)
        assert (line["user"], line["status"], line["job"]) == (user, status, api.jobs.jobs()[-1].id)

    async def test_an_upload_whose_client_leaves_is_told(self, api):
        head = f"PUT /api/v1/artifacts HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer('alice')['Authorization']}\r\n"
        form = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 999\r\n\r\n"
        part = '--b\r\nContent-Disposition: form-data; name="program"; filename="map.sh"\r\n\r\n#!/bin/sh\n'
        with capture_logs() as logs:
            _, writer = await asyncio.open_connection("127.0.0.1", api.port)
            writer.write((head + form + part).encode())
            await writer.drain()
            async with asyncio.timeout(20):
                while not list((api.root / "artifacts/incoming").iterdir()):
                    await asyncio.sleep(0.01)
                writer.transport.abort()
                while not audited(logs):
                    await asyncio.sleep(0.01)
        (line,) = audited(logs)
        assert (line["user"], line["status"], line["artifact"]) == ("alice", 499, "map.sh")

    async def test_no_token_is_in_any_answer_log_or_metric(self, api, capfd, caplog):
        answers = []
        with capture_logs() as logs:
            for user in TOKENS:
                answers += [
                    await api.call("POST", JOBS, json=BODY, headers=bearer(user)),
                    await api.call("GET", JOBS, headers=bearer(user)),
                    await api.call("DELETE", f"{JOBS}/none", headers=bearer(user)),
                    await api.upload("map.sh", b"#!/bin/sh\n" + user.encode(), headers=bearer(user)),
                ]
            api.jobs.refuse = RuntimeError("something else went wrong")
            answers.append(await api.call("POST", JOBS, json=BODY, headers=bearer("root")))
            async with api.http.get("/metrics") as metrics:
                answers.append((metrics.status, await metrics.text()))
            async with api.http.get("/docs", headers=bearer("root")) as page:
                answers.append((page.status, await page.text()))
        captured = capfd.readouterr()
        said = json.dumps(answers) + json.dumps(logs, default=str) + captured.out + captured.err + caplog.text
        assert [token for _, token in TOKENS.values() if token in said] == []


async def test_streams_too_ask_for_a_token_and_serve_viewers(api):
    job = await submit(api, "alice")
    api.jobs.end(api.jobs.jobs()[0], JobStatus.SUCCEEDED)
    async with api.http.get(f"{JOBS}/{job['id']}/events", headers=bearer("vera")) as answer:
        assert (answer.status, b"job_ended" in await answer.read()) == (200, True)
