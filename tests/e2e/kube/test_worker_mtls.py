"""A stranger in the cluster, and a worker pod itself, try to command workers of a job that runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.cluster.images import COORDINATOR
from support.cluster.namespaces import Namespace, restricted_worker
from support.installation import Installation
from support.rest_jobs import attempts_of, ended, job_when

pytestmark = pytest.mark.timeout(600)

SCRIPT = Path(__file__).parents[2] / "support" / "stranger.py"
STRANGER = "stranger"


def tries(namespace: Namespace, pod: str, address: str, attempt: str) -> dict[str, Any]:
    """What comes of it when this pod tries to command the worker at an address."""
    command = ("exec", "--stdin", pod, "--", "/opt/apollo/bin/python", "-", address, attempt)
    return json.loads(namespace.kubectl(*command, stdin=SCRIPT.read_text()))


def answered(found: dict[str, Any]) -> list[str]:
    return [f"{how}: {call}" for how, calls in found["tried"].items() for call in calls if "answered" in calls[call]]


async def test_nobody_but_the_coordinator_commands_a_worker(installation, rest, slow_words, namespace):
    pod = restricted_worker(image=COORDINATOR, command=["sleep", "600"])
    pod["spec"]["securityContext"]["runAsUser"] = 10001
    namespace.apply(pod | {"metadata": {"name": STRANGER}})
    job = await slow_words.submit(rest, "commanded", seconds=15)
    await job_when(rest, job, lambda _: len(workers_of(installation, job)) == 2)
    namespace.kubectl("wait", "--for=condition=Ready", f"pod/{STRANGER}", "--timeout=60s")
    (name, address), (_, other) = workers_of(installation, job).items()
    attempt = next(attempt["id"] for attempt in await attempts_of(rest, job) if attempt["status"] == "running")

    by_stranger = tries(namespace, STRANGER, address, attempt)
    assert by_stranger["reachable"] == "ok", "nothing but the network has stopped it"
    assert set(by_stranger["tried"]) == {"plain text", "TLS without a certificate", "the keys of another job"}
    assert answered(by_stranger) == []

    by_worker = tries(installation.namespace, name, other, attempt)
    assert (by_worker["reachable"], set(by_worker["tried"]) >= {"the keys of its own pod"}) == ("ok", True)
    assert answered(by_worker) == []

    document = await ended(rest, job)
    assert (document["status"], slow_words.counted("commanded")) == ("succeeded", True), document
    assert {attempt["status"] for attempt in await attempts_of(rest, job)} == {"succeeded"}


def workers_of(installation: Installation, job: str) -> dict[str, str]:
    """The addresses of the job's workers that listen, by pod."""
    pods = installation.pods_of(job)
    ready = {name: pod for name, pod in pods.items() if is_ready(pod)}
    return {name: f"{pod['status']['podIP']}:8090" for name, pod in ready.items()}


def is_ready(pod: dict[str, Any]) -> bool:
    return any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", []))
