"""Apollo as an overlay installs it on the test cluster, spoken with as its users do: kubectl, the REST API, S3."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from apollo_client.rest import RestClient
from support.apollo_cli import REPOSITORY
from support.cluster import audit
from support.cluster.cluster import Cluster
from support.cluster.namespaces import Namespace
from support.rest_jobs import BUCKET, POLL_SECONDS, Document, Site
from support.seaweedfs import S3Server

OVERLAY = str(REPOSITORY / "infra/kustomize/overlays/dev")
NAMESPACE = "apollo"
COORDINATOR = "apollo-coordinator"
COORDINATOR_POD = f"{COORDINATOR}-0"
COORDINATOR_USER = f"system:serviceaccount:{NAMESPACE}:{COORDINATOR}"
AUDIENCE = "apollo"

_KEY, _SECRET = "apollo", "apollo-try-out"
_JOB_OBJECTS = "pods,configmaps,secrets"
_PORT = 4750


@dataclass(frozen=True)
class Installation(Site):
    namespace: Namespace
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
        return cls(f"http://{addresses[COORDINATOR]}:{_PORT}", s3, namespace, applied_at)

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

    @property
    def credentials(self) -> Document:
        """They come with the job, for a Secret of its own."""
        access = {"username": _KEY, "password": _SECRET}
        return {"inputStorageCredentials": access, "outputStorageCredentials": access}

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
                await asyncio.sleep(POLL_SECONDS)
