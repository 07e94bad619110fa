"""A cluster that does not give a job its pods, or takes them away: the job says why, and goes on when it can."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.installation import COORDINATOR, Installation
from support.rest_jobs import ended, submitted, troubled

pytestmark = pytest.mark.timeout(300)

QUOTA = "full"
NOWHERE = "registry.invalid/apollo-worker:0.1.0"
HUNGRY = """\
#!/usr/bin/env python3
import sys
held = []
for line in sys.stdin:
    while True:
        held.append(b"x" * (32 << 20))
"""


def quota(pods: int) -> dict:
    metadata = {"name": QUOTA}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": str(pods)}}}


async def test_a_quota_is_exhausted(installation, rest, slow_words):
    namespace = installation.namespace
    namespace.apply(quota(len(namespace.get("pods"))))
    try:
        job = await slow_words.submit(rest, "quota", seconds=0)
        said = await troubled(rest, job, "exceeded quota")
        assert f"exceeded quota: {QUOTA}" in said
        namespace.apply(quota(100))
        assert (await ended(rest, job))["status"] == "succeeded"
    finally:
        namespace.kubectl("delete", "resourcequota", QUOTA)
    assert slow_words.counted("quota")
    await installation.nothing_left(job)


@contextmanager
def worker_image(installation: Installation, name: str) -> Iterator[None]:
    """Another one for new worker pods, set as an operator would."""
    namespace = installation.namespace

    def set_to(value: str) -> None:
        namespace.kubectl("set", "env", f"statefulset/{COORDINATOR}", value)
        namespace.kubectl("rollout", "status", f"statefulset/{COORDINATOR}", "--timeout=120s")

    set_to(f"APOLLO_WORKER_IMAGE={name}")
    try:
        yield
    finally:
        set_to("APOLLO_WORKER_IMAGE-")


async def test_an_image_that_is_not_there(installation, slow_words):
    """The operator mends the setting; the pods that wait for the wrong image are made anew."""
    with worker_image(installation, NOWHERE):
        async with installation.client() as rest:
            job = await slow_words.submit(rest, "image", seconds=0)
            assert f"its image {NOWHERE} cannot be had" in await troubled(rest, job, NOWHERE)
    async with installation.client() as rest:
        assert (await ended(rest, job))["status"] == "succeeded"
        assert slow_words.counted("image")
        await installation.nothing_left(job)


async def test_a_mapper_over_its_memory_limit(installation, rest, slow_words, tmp_path):
    hungry = tmp_path / "hungry.py"
    hungry.write_text(HUNGRY)
    await rest.upload(hungry)
    body = installation.body("hungry", slow_words.INPUT, hungry.name, protocol="text", maxAttempts=1, maxWorkers=1)
    job = await submitted(rest, body)
    document = await ended(rest, job)
    assert document["status"] == "failed"
    assert document["failure"]["program"] == hungry.name
    assert "may use 1.0 GiB together" in document["failure"]["message"]
    await installation.nothing_left(job)
