"""A job's credentials on a whole coordinator with worker pods: in one Secret while it runs, and nowhere else ever."""

import asyncio
import base64
import json
import secrets
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import yaml

from apollo_coordinator.pools.process import worker_command
from support.apollo_cli import environment
from support.fake_kubelet import FakeKubelet
from support.fake_kubernetes import NAMESPACE, FakeKubernetes
from support.kubernetes_pools import worker_manifest
from support.ports import free_port
from support.seaweedfs import S3Server

COMMAND = (sys.executable, "-c", "from apollo_coordinator.app import main; main()")
PATIENCE_SECONDS = 90
TEXT = b"b\na\nb\n" * 1000
MAPPER = "shell:env >&2; cat /proc/self/environ /proc/$PPID/environ >&2; sleep 2; cat"
PAGES = (
    *("jobs", "jobs/{job}", "jobs/{job}/tasks", "jobs/{job}/counters", "jobs/{job}/events"),
    *("tasks/{job}-m-00000/attempts", "attempts/{job}-m-00000-0/logs", "workers", "artifacts"),
)

pytestmark = pytest.mark.timeout(240)


@dataclass
class Site:
    """A coordinator over a fake API server whose pods are real workers."""

    api: FakeKubernetes
    folder: Path
    s3: S3Server
    session: aiohttp.ClientSession
    url: str
    process: Process | None = None

    async def start(self) -> None:
        settings = {
            "APOLLO_DATA_DIR": self.folder / "data",
            "APOLLO_PORT": self.url.rpartition(":")[2],
            "APOLLO_POOL": "kubernetes",
            "APOLLO_KUBECONFIG": self.folder / "kubeconfig",
            "APOLLO_KUBERNETES_NAMESPACE": NAMESPACE,
            "APOLLO_WORKER_TEMPLATE": self.folder / "pod.yaml",
            "APOLLO_INTERMEDIATE_DIR": self.folder / "volume",
            "APOLLO_LOG_LEVEL": "DEBUG",
            "AWS_ENDPOINT_URL_S3": self.s3.endpoint_url,
            "AWS_REGION": "us-east-1",
        }
        given = environment(**{name: str(value) for name, value in settings.items()})
        with (self.folder / "coordinator.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*COMMAND, env=given, stderr=log)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self._ready():
                await asyncio.sleep(0.1)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def get(self, path: str) -> str:
        async with self.session.get(f"{self.url}/api/v1/{path}") as answer:
            return await answer.text()

    async def submit(self, **fields: object) -> tuple[int, str]:
        body = {"nReducers": 1, "inputType": "file/txt", "mapperName": MAPPER, "reducerName": "builtin:count", **fields}
        async with self.session.post(f"{self.url}/api/v1/jobs", json=body) as answer:
            return answer.status, await answer.text()

    async def status(self, job: str) -> str:
        return json.loads(await self.get(f"jobs/{job}"))["status"]

    async def until_status(self, job: str, *wanted: str) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (status := await self.status(job)) not in wanted:
                await asyncio.sleep(0.1)
        return status

    def where(self, canary: str) -> list[str]:
        """The files in which it is: journal, logs and data of the coordinator and its workers."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        forms = [form.encode() for form in (canary, base64.b64encode(canary.encode()).decode().rstrip("="))]
        return [str(path) for path in files if any(form in path.read_bytes() for form in forms)]

    async def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, (self.folder / "coordinator.log").read_text()
        try:
            async with self.session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@pytest.fixture
async def site(tmp_path, s3_server) -> AsyncIterator[Site]:
    async with site_at(tmp_path, s3_server) as site:
        await site.start()
        yield site


@asynccontextmanager
async def site_at(folder: Path, s3: S3Server) -> AsyncIterator[Site]:
    manifest = worker_manifest()
    manifest["spec"]["containers"][0]["env"] = [{"name": "APOLLO_VOLUME", "value": str(folder / "volume")}]
    (folder / "pod.yaml").write_text(yaml.safe_dump(manifest))
    async with FakeKubernetes().serving() as api, aiohttp.ClientSession() as session:
        (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig(api.url)))
        kubelet = FakeKubelet(api, folder / "pods", worker_command())
        (folder / "pods").mkdir()
        site = Site(api, folder, s3, session, f"http://127.0.0.1:{free_port()}")
        kubelet.start()
        try:
            yield site
        finally:
            await site.kill()
            await kubelet.close()


def kubeconfig(server: str) -> dict:
    return {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {"token": "t"}}],
    }


async def seen_by_users(site: Site, job: str) -> str:
    pages = [await site.get(page.format(job=job)) for page in PAGES]
    async with site.session.get(f"{site.url}/metrics") as answer:
        return "".join([*pages, await answer.text()])


async def test_they_are_in_the_jobs_secret_while_it_runs_and_nowhere_else_ever(site, s3_server, s3_bucket):
    canary = s3_server.secret_access_key
    s3_server.client().put_object(Bucket=s3_bucket, Key="in", Body=TEXT)
    own = {"username": s3_server.access_key_id, "password": canary}
    status, answer = await site.submit(
        inputPath=f"s3://{s3_bucket}/in",
        outputPath=f"s3://{s3_bucket}/out",
        inputStorageCredentials=own,
        outputStorageCredentials=own,
    )
    assert status == 201, answer
    job = json.loads(answer)["job"]["id"]
    await site.until_status(job, "running")
    kept = site.api.objects["secrets"][f"apollo-job-{job}-storage"]
    assert canary in base64.b64decode(kept["data"]["access.json"]).decode(), "this test looks for the wrong thing"
    while_running = await seen_by_users(site, job)
    await site.kill()
    await site.start()  # what it has of the job's credentials now, it has from the Secret
    assert await site.until_status(job, "succeeded", "failed") == "succeeded", await site.get(f"jobs/{job}")
    assert (
        s3_server.client().get_object(Bucket=s3_bucket, Key="out/part-r-00000")["Body"].read() == b"a\t1000\nb\t2000\n"
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while site.api.objects["secrets"]:
            await asyncio.sleep(0.1)
    log = await site.get(f"attempts/{job}-m-00000-0/logs")
    assert "APOLLO_JOB_ID" in log, "the program has told nothing of its environment"
    assert canary not in while_running + await seen_by_users(site, job)
    assert canary not in json.dumps(site.api.told())
    assert len(site.where(job)) > 2, "neither journal nor logs were looked at"
    assert site.where(canary) == []


async def test_they_are_in_no_error(site, s3_server, s3_bucket):
    canary = secrets.token_hex(16)
    wrong = {"username": s3_server.access_key_id, "password": canary}
    s3_server.client().put_object(Bucket=s3_bucket, Key="in", Body=TEXT)
    paths = {"inputPath": f"s3://{s3_bucket}/in", "outputPath": f"s3://{s3_bucket}/out"}
    status, answer = await site.submit(**paths, inputStorageCredentials=wrong, outputStorageCredentials=wrong)
    assert (status, "refuses the credentials" in answer) == (422, True), answer
    mistyped = await site.submit(**paths, inputStorageCredentials=wrong | {"secret": canary}, nReducers="1")
    assert mistyped[0] == 422
    assert canary not in answer + mistyped[1]
    assert canary not in json.dumps(site.api.told())
    assert site.where(canary) == []
    assert not site.api.objects.get("secrets")


async def test_a_named_secret_is_used_and_kept_to_itself(site, s3_server, s3_bucket):
    canary = s3_server.secret_access_key
    keys = {"accessKeyId": s3_server.access_key_id, "secretAccessKey": canary, "endpoint": s3_server.endpoint_url}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}
    metadata = {"name": "team-a", "labels": {"apollo.io/storage-credentials": "true"}}
    site.api.put("secrets", {"metadata": metadata, "data": data})
    s3_server.client().put_object(Bucket=s3_bucket, Key="in", Body=TEXT)
    status, answer = await site.submit(
        inputPath=f"{s3_server.endpoint_url}/{s3_bucket}/in",
        outputPath=f"s3://{s3_bucket}/out",
        credentialsSecret="team-a",
        mapperName="shell:cat",
    )
    assert status == 201, answer
    job = json.loads(answer)["job"]["id"]
    assert await site.until_status(job, "succeeded", "failed") == "succeeded", await site.get(f"jobs/{job}")
    assert canary not in await seen_by_users(site, job)
    assert canary not in json.dumps(site.api.told())
    assert site.where(canary) == []
    assert "team-a" in site.api.objects["secrets"], "what the job does not own goes on"


async def test_a_secret_that_jobs_may_not_name_is_refused(site, s3_bucket):
    site.api.put("secrets", {"metadata": {"name": "database"}, "data": {"password": "cGFzcw=="}})
    paths = {"inputPath": f"s3://{s3_bucket}/in", "outputPath": f"s3://{s3_bucket}/out"}
    for name in ("database", "nothing"):
        status, answer = await site.submit(**paths, credentialsSecret=name)
        assert (status, json.loads(answer)["errors"][0]["field"]) == (422, "credentialsSecret")
    for name in ("../configmaps/x", "a/b", "", "UPPER"):
        status, answer = await site.submit(**paths, credentialsSecret=name)
        assert (status, json.loads(answer)["errors"][0]["field"]) == (422, "credentialsSecret")
    both = {"username": "u", "password": "p"}
    status, answer = await site.submit(**paths, credentialsSecret="database", inputStorageCredentials=both)
    assert (status, "one or the other" in answer) == (422, True)
