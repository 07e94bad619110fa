"""Apollo as an overlay installs it on the test cluster, spoken with as its users do: kubectl, the REST API, S3."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from apollo_client.rest import RestClient
from support.apollo_cli import REPOSITORY
from support.cluster import audit
from support.cluster.cluster import Cluster
from support.cluster.namespaces import Namespace
from support.seaweedfs import S3Server

OVERLAY = str(REPOSITORY / "infra/kustomize/overlays/dev")
NAMESPACE = "apollo"
COORDINATOR = "apollo-coordinator"
COORDINATOR_POD = f"{COORDINATOR}-0"
COORDINATOR_USER = f"system:serviceaccount:{NAMESPACE}:{COORDINATOR}"
AUDIENCE = "apollo"
BUCKET = "data"
PATIENCE_SECONDS = 240.0
ENDS = ("succeeded", "failed", "stopped")

_KEY, _SECRET = "apollo", "apollo-try-out"
_JOB_OBJECTS = "pods,configmaps,secrets"
_PORT = 4750
_POLL_SECONDS = 0.2

Document = dict[str, Any]


@dataclass(frozen=True)
class Installation:
    namespace: Namespace
    url: str
    s3: S3Server
    applied_at: datetime

    @classmethod
    def apply(cls, cluster: Cluster) -> "Installation":
        """Apply the dev overlay to a cluster that has nothing of it, and wait until it serves."""
        namespace = Namespace(cluster, NAMESPACE)
        cluster.kubectl("delete", "-k", OVERLAY, "--ignore-not-found", "--wait=true")
        applied_at = audit.now()
        cluster.kubectl("apply", "-k", OVERLAY)
        for what in (f"statefulset/{COORDINATOR}", "deployment/seaweedfs"):
            namespace.kubectl("rollout", "status", what, "--timeout=120s")
        addresses = {item["metadata"]["name"]: item["spec"]["clusterIP"] for item in namespace.get("services")}
        s3 = S3Server(f"http://{addresses['seaweedfs']}:8333", _KEY, _SECRET)
        s3.client().create_bucket(Bucket=BUCKET)
        return cls(namespace, f"http://{addresses[COORDINATOR]}:{_PORT}", s3, applied_at)

    def delete(self) -> None:
        self.namespace.cluster.kubectl("delete", "-k", OVERLAY, "--wait=true")

    def token(self, account: str, *, audience: str = AUDIENCE) -> str:
        """Of one of the namespace's service accounts."""
        return self.namespace.kubectl("create", "token", account, f"--audience={audience}").strip()

    @asynccontextmanager
    async def client(
        self, account: str = "apollo-submitter", *, past_the_service: bool = False
    ) -> AsyncIterator[RestClient]:
        """As one of the overlay's accounts. The Service leads nowhere while its pod's node is not ready."""
        url = self.url
        if past_the_service:
            pod = json.loads(self.namespace.kubectl("get", "pod", COORDINATOR_POD, "--output=json"))
            url = f"http://{pod['status']['podIP']}:{_PORT}"
        async with RestClient(url, token=self.token(account)) as client:
            yield client

    def put(self, key: str, content: bytes | Path) -> None:
        body = content.read_bytes() if isinstance(content, Path) else content
        self.s3.client().put_object(Bucket=BUCKET, Key=key, Body=body)

    def body(self, output: str, inputs: str, mapper: str, reducer: str = "", **fields: Any) -> Document:
        """A job. Its credentials come with it, for a Secret of its own."""
        access = {"username": _KEY, "password": _SECRET}
        programs = {"mapperName": mapper, "nReducers": 0} | (
            {"reducerName": reducer, "nReducers": 1} if reducer else {}
        )
        locations = {"inputPath": f"s3://{BUCKET}/{inputs}", "outputPath": f"s3://{BUCKET}/{output}"}
        credentials = {"inputStorageCredentials": access, "outputStorageCredentials": access}
        return {"inputType": "file/txt", "maxWorkers": 2} | locations | credentials | programs | fields

    def output(self, name: str) -> bytes:
        """All parts, one after another."""
        store = self.s3.client()
        listed = store.list_objects_v2(Bucket=BUCKET, Prefix=f"{name}/part-").get("Contents", [])
        return b"".join(store.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in listed)

    def pods_of(self, job: str) -> dict[str, Document]:
        """Of its workers, those that have not ended, by name."""
        found = json.loads(self.namespace.kubectl("get", "pods", "-l", f"apollo.io/job={job}", "-o", "json"))["items"]
        return {item["metadata"]["name"]: item for item in found if "deletionTimestamp" not in item["metadata"]}

    def left_of(self, job: str) -> list[str]:
        found = json.loads(self.namespace.kubectl("get", _JOB_OBJECTS, "-l", f"apollo.io/job={job}", "-o", "json"))
        return [f"{item['kind']} {item['metadata']['name']}" for item in found["items"]]

    async def nothing_left(self, job: str) -> None:
        """Of a job that has ended, within a pod's grace and a little more."""
        async with asyncio.timeout(90):
            while self.left_of(job):
                await asyncio.sleep(_POLL_SECONDS)


async def submitted(rest: RestClient, body: Document) -> str:
    """The id of the new job."""
    return str((await rest.submit(body))["job"]["id"])


async def job_when(rest: RestClient, job: str, reached: Callable[[Document], bool]) -> Document:
    """The job's document as soon as it is so; an AssertionError with it when the job ends before."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not reached(document := await rest.job(job)):
            assert document["status"] not in ENDS, document
            await asyncio.sleep(_POLL_SECONDS)
    return document


async def ended(rest: RestClient, job: str) -> Document:
    return await job_when(rest, job, lambda document: document["status"] in ENDS)


async def troubled(rest: RestClient, job: str, words: str) -> str:
    """What the job says it waits for, once that holds the words."""
    return (await job_when(rest, job, lambda document: words in document.get("trouble", "")))["trouble"]


def maps_completed(count: int) -> Callable[[Document], bool]:
    return lambda document: document["progress"]["maps"]["completed"] >= count


async def attempts_of(rest: RestClient, job: str) -> list[Document]:
    return [attempt async for task in rest.tasks(job) async for attempt in rest.attempts(task["id"])]
