"""What a job asks of its pods, through the whole installation."""

import pytest

from apollo_client.errors import RequestRefused
from support.rest_jobs import ended, job_when, maps_completed

pytestmark = pytest.mark.timeout(400)


async def test_a_jobs_pods_are_as_it_asked(installation, rest, slow_words):
    asked = {"resources": {"limits": {"memory": "800Mi"}}}
    job = await slow_words.submit(rest, "wishes", kubernetes=asked)
    document = await job_when(rest, job, maps_completed(1))
    assert document["kubernetes"] == asked
    pods = installation.pods_of(job)
    for pod in pods.values():
        assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "800Mi"
        near = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        assert near[0]["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "coordinator"
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == (pod["metadata"]["name"], "apollo-workers")
    assert pods
    assert (await ended(rest, job))["status"] == "succeeded"
    assert slow_words.counted("wishes")
    await installation.nothing_left(job)


async def test_what_the_operator_does_not_allow_is_refused(rest, slow_words):
    with pytest.raises(RequestRefused) as refused:
        await slow_words.submit(rest, "refused-wishes", kubernetes={"image": "worker:mine", "labels": {"team": "a"}})
    assert [field.field for field in refused.value.fields] == ["kubernetes.image", "kubernetes.labels.team"]
