"""Map outputs in a bucket: the overlay dev-bucket over what dev has installed, and back."""

import asyncio
import re
from collections.abc import Iterator

import pytest

from apollo_client.rest import RestClient
from support.apollo_cli import REPOSITORY
from support.installation import COORDINATOR, OVERLAY, Installation
from support.rest_jobs import ended, job_when, maps_completed
from support.slow_words import SlowWords

pytestmark = pytest.mark.timeout(300)

DEV_BUCKET = str(REPOSITORY / "infra/kustomize/overlays/dev-bucket")
BUCKET = "apollo-intermediate"


@pytest.fixture(scope="module")
def in_bucket(installation: Installation) -> Iterator[Installation]:
    apply(installation, DEV_BUCKET)
    yield installation
    apply(installation, OVERLAY)


def apply(installation: Installation, overlay: str) -> None:
    installation.namespace.cluster.kubectl("apply", "-k", overlay)
    installation.namespace.kubectl("rollout", "status", f"statefulset/{COORDINATOR}", "--timeout=120s")


def keys(installation: Installation) -> list[str]:
    """Objects and uploads under way, but for the coordinator's mark."""
    store = installation.s3.client()
    found = store.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    found += store.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return [each["Key"] for each in found if "/apollo-coordinator-" not in each["Key"]]


def watched_volumes(installation: Installation, pod: str) -> set[str]:
    """Those whose free space a worker tells of."""
    ask = "import urllib.request as http; print(http.urlopen('http://127.0.0.1:8091/metrics').read().decode())"
    told = installation.namespace.kubectl("exec", pod, "--", "python", "-c", ask)
    return set(re.findall(r'^apollo_volume_free_bytes\{volume="(\w+)"\}', told, re.MULTILINE))


async def test_map_outputs_in_a_bucket_and_no_shared_volume(
    in_bucket: Installation, rest: RestClient, slow_words: SlowWords
) -> None:
    job = await slow_words.submit(rest, "in-bucket", seconds=5)  # the last maps run while all this is looked at
    await job_when(rest, job, maps_completed(2))
    assert all(key.startswith(f"map-outputs/{job}/{job}-m-") for key in keys(in_bucket))
    assert len(keys(in_bucket)) >= 4
    pods = in_bucket.pods_of(job)
    assert pods
    assert not [pod for pod in pods.values() if "persistentVolumeClaim" in str(pod["spec"]["volumes"])]
    for pod in pods:
        assert watched_volumes(in_bucket, pod) == {"work"}, "its node's disk is no volume for map outputs"
    assert (await ended(rest, job))["status"] == "succeeded"
    assert slow_words.counted("in-bucket")
    await in_bucket.nothing_left(job)
    async with asyncio.timeout(60):
        while keys(in_bucket):
            await asyncio.sleep(0.2)
