"""Whose credentials a job on the cluster uses, and that they are nowhere but in Secrets."""

import json

import pytest

from apollo_client.errors import RequestRefused
from support.installation import COORDINATOR, COORDINATOR_POD
from support.rest_jobs import ended, job_when, submitted

pytestmark = pytest.mark.timeout(600)

TEXT = b"b\na\nb\n"
COUNTED = b"a\t1\nb\t2\n"


def without_credentials(installation, output: str, **fields):
    installation.put("credentials/in", TEXT)
    body = installation.body(output, "credentials/in", "shell:cat", "builtin:count", **fields)
    return {name: value for name, value in body.items() if not name.endswith("StorageCredentials")}


async def test_a_job_uses_the_secret_that_it_names(installation, rest):
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "team-a"}}
    keys = {"accessKeyId": installation.s3.access_key_id, "secretAccessKey": installation.s3.secret_access_key}
    installation.namespace.apply(secret | {"stringData": keys})
    body = without_credentials(installation, "named", credentialsSecret="team-a")
    with pytest.raises(RequestRefused, match="no Secret team-a with the label"):
        await rest.submit(body)
    installation.namespace.kubectl("label", "secret", "team-a", "apollo.io/storage-credentials=true")
    job = await submitted(rest, body)
    assert (await ended(rest, job))["status"] == "succeeded"
    assert installation.output("named") == COUNTED
    await installation.nothing_left(job)
    installation.namespace.kubectl("delete", "secret", "team-a")  # it was not the job's to delete


async def test_a_job_without_credentials_is_lent_the_coordinators(installation, rest):
    body = without_credentials(installation, "lent")
    with pytest.raises(RequestRefused, match="needs credentials"):
        await rest.submit(body)
    settings = f"statefulset/{COORDINATOR}"
    keys = (f"AWS_ACCESS_KEY_ID={installation.s3.access_key_id}",)
    keys += (f"AWS_SECRET_ACCESS_KEY={installation.s3.secret_access_key}",)
    installation.namespace.kubectl("set", "env", settings, *keys)
    try:
        installation.namespace.kubectl("rollout", "status", settings, "--timeout=120s")
        job = await submitted(rest, body)
        await job_when(rest, job, lambda _: installation.pods_of(job))
        pods = json.dumps(installation.pods_of(job))
        assert (await ended(rest, job))["status"] == "succeeded"
    finally:
        installation.namespace.kubectl("set", "env", settings, "AWS_ACCESS_KEY_ID-", "AWS_SECRET_ACCESS_KEY-")
        installation.namespace.kubectl("rollout", "status", settings, "--timeout=120s")
    assert installation.output("lent") == COUNTED
    assert installation.s3.secret_access_key not in pods


async def test_a_jobs_credentials_are_in_its_secret_and_nowhere_else(installation, rest, slow_words):
    canary = installation.s3.secret_access_key
    job = await slow_words.submit(rest, "canary", seconds=5)
    await job_when(rest, job, lambda document: document["progress"]["maps"]["completed"] > 0)
    kubectl = installation.namespace.kubectl
    mine = ("-l", f"apollo.io/job={job}", "-o", "json")
    secrets = json.loads(kubectl("get", "secrets", *mine))["items"]
    assert sorted(item["metadata"]["name"] for item in secrets) == [f"apollo-job-{job}", f"apollo-job-{job}-storage"]
    workers = [kubectl("logs", pod) for pod in installation.pods_of(job)]
    told = [kubectl("get", "pods,configmaps", *mine), kubectl("get", "events", "-o", "json"), *workers]
    assert (await ended(rest, job))["status"] == "succeeded"
    told += [kubectl("logs", COORDINATOR_POD), json.dumps(await rest.job(job))]
    assert job in told[-2]
    assert not [text for text in told if canary in text]
    found = kubectl("exec", COORDINATOR_POD, "--", "grep", "-rl", job, "/var/lib/apollo/coordinator")
    assert "journal" in found
    script = f"grep -rl {canary} /var/lib/apollo /tmp || true"
    assert kubectl("exec", COORDINATOR_POD, "--", "sh", "-c", script) == ""
    await installation.nothing_left(job)
