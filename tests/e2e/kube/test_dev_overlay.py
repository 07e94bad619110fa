"""`kubectl apply -k infra/kustomize/overlays/dev` on an empty cluster is a whole Apollo that runs jobs."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apollo_client.rest import RestClient
from support.apollo_cli import REPOSITORY
from support.cluster.cluster import Cluster
from support.cluster.namespaces import Namespace
from support.corpus import coreutils_word_count, sorted_lines, write_python_sources
from support.seaweedfs import S3Server

pytestmark = pytest.mark.timeout(600)

OVERLAY = str(REPOSITORY / "infra/kustomize/overlays/dev")
NAMESPACE = "apollo"
TOKEN = "apollo-dev"  # as the overlay says
KEY, SECRET = "apollo", "apollo-try-out"
BUCKET = "words"
PROGRAM = REPOSITORY / "examples/word_count/word_count.py"
JOB_OBJECTS = "pods,configmaps,secrets"
DEADLINE_SECONDS = 240


@dataclass(frozen=True)
class Installation:
    namespace: Namespace
    url: str
    s3: S3Server

    def count_words(self, name: str, **fields: Any) -> dict[str, Any]:
        """A job's body. Its credentials come with it, for a Secret of its own."""
        access = {"username": KEY, "password": SECRET}
        return {
            "nReducers": 2,
            "inputPath": f"s3://{BUCKET}/in/",
            "inputType": "file/txt",
            "outputPath": f"s3://{BUCKET}/{name}",
            "mapperName": PROGRAM.name,
            "reducerName": PROGRAM.name,
            "inputStorageCredentials": access,
            "outputStorageCredentials": access,
            "maxWorkers": 2,
        } | fields

    def output(self, name: str) -> bytes:
        store = self.s3.client()
        listed = store.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/part-").get("Contents", [])
        return b"".join(store.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in listed)

    def left_of(self, job: str) -> list[str]:
        found = json.loads(self.namespace.kubectl("get", JOB_OBJECTS, "-l", f"apollo.io/job={job}", "-o", "json"))
        return [f"{item['kind']} {item['metadata']['name']}" for item in found["items"]]


@pytest.fixture(scope="module")
def installation(cluster: Cluster) -> Iterator[Installation]:
    namespace = Namespace(cluster, NAMESPACE)
    cluster.kubectl("apply", "-k", OVERLAY)
    for what in ("statefulset/apollo-coordinator", "deployment/seaweedfs"):
        namespace.kubectl("rollout", "status", what, "--timeout=120s")
    addresses = {item["metadata"]["name"]: item["spec"]["clusterIP"] for item in namespace.get("services")}
    s3 = S3Server(f"http://{addresses['seaweedfs']}:8333", KEY, SECRET)
    yield Installation(namespace, f"http://{addresses['apollo-coordinator']}:4750", s3)
    cluster.kubectl("delete", "-k", OVERLAY, "--wait=true")


@pytest.fixture(scope="module")
def words(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Put text into the bucket; what coreutils counts in it."""
    corpus = write_python_sources(tmp_path_factory.mktemp("corpus") / "text", 4 << 20)
    store = installation.s3.client()
    store.create_bucket(Bucket=BUCKET)
    store.put_object(Bucket=BUCKET, Key="in/text", Body=corpus.read_bytes())
    return coreutils_word_count(corpus)


@pytest.fixture
async def rest(installation: Installation) -> AsyncIterator[RestClient]:
    async with RestClient(installation.url, token=TOKEN) as client:
        await client.upload(Path(PROGRAM))
        yield client


async def ended(rest: RestClient, job: str) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            document = await rest.job(job)
            if document["status"] in ("succeeded", "failed", "stopped"):
                return document
            await asyncio.sleep(0.5)


async def nothing_left(installation: Installation, job: str) -> None:
    async with asyncio.timeout(60):
        while installation.left_of(job):
            await asyncio.sleep(1)


def job_id(answer: dict[str, Any]) -> str:
    return str(answer["job"]["id"])


async def test_a_job_counts_what_coreutils_counts_and_leaves_nothing(installation, rest, words):
    job = job_id(await rest.submit(installation.count_words("counted", splitSize="1MiB")))
    document = await ended(rest, job)
    assert document["status"] == "succeeded", document
    assert sorted_lines(installation.output("counted")) == words
    await nothing_left(installation, job)


async def test_a_job_goes_on_while_the_coordinators_pod_is_replaced(installation, rest, words):
    job = job_id(await rest.submit(installation.count_words("replaced", splitSize="64KiB")))
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await rest.job(job))["progress"]["maps"]["completed"] < 2:
            await asyncio.sleep(0.2)
    workers = {found.removeprefix("Pod ") for found in installation.left_of(job)}
    installation.namespace.kubectl("delete", "pod", "apollo-coordinator-0", "--grace-period=0", "--force")
    document = await ended(rest, job)
    assert document["status"] == "succeeded", document
    assert sorted_lines(installation.output("replaced")) == words
    attempts = [attempt async for task in rest.tasks(job) async for attempt in rest.attempts(task["id"])]
    assert {attempt["worker"] for attempt in attempts} <= workers, "another pod was made, though two were there"
    await nothing_left(installation, job)


async def test_a_stopped_job_leaves_nothing(installation, rest, words):
    job = job_id(await rest.submit(installation.count_words("stopped", splitSize="64KiB")))
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not [worker async for worker in rest.workers()]:
            await asyncio.sleep(0.2)
    await rest.stop(job)
    assert (await ended(rest, job))["status"] == "stopped"
    await nothing_left(installation, job)
    assert installation.output("stopped") == b""


def test_a_second_apply_replaces_nothing(installation, cluster):
    def generations() -> dict[str, int]:
        found = installation.namespace.get("statefulsets,deployments,configmaps,secrets,pods,persistentvolumeclaims")
        return {item["metadata"]["uid"]: item["metadata"].get("generation", 0) for item in found}

    before = generations()
    cluster.kubectl("apply", "-k", OVERLAY)
    assert generations() == before


def test_the_coordinator_was_refused_nothing(installation, cluster):
    """After the jobs above: the API server's audit log holds every call of the coordinator's service account."""
    user = f"system:serviceaccount:{NAMESPACE}:apollo-coordinator"
    calls = [json.loads(line) for line in cluster.state.audit_log.read_text().splitlines()]
    ours = [call for call in calls if call["user"]["username"] == user]
    assert {(call["verb"], call["objectRef"]["resource"]) for call in ours} >= {("watch", "pods"), ("create", "pods")}
    assert not [call for call in ours if call["responseStatus"]["code"] == 403]
