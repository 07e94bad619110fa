"""The `kubernetes` field of a job over HTTP."""

import pytest

from apollo_common.ids import JobId
from apollo_common.storage.policy import StorePolicy
from apollo_coordinator.api.settings import ApiSettings
from apollo_coordinator.core.pod_overrides import PodOverrides, Toleration
from apollo_coordinator.pod_policy import PodPolicy
from support.api_jobs import fields, submit, upload_programs
from support.api_server import running_api

POLICY = PodPolicy(
    {"cpu": "4", "memory": "8Gi"},
    images=("worker:*",),
    node_labels=("disk=*",),
    tolerations=("spot=*:*",),
    labels=("example.com/*", "a"),
)
WHOLE = {
    "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "2Gi"}},
    "image": "worker:2",
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
    "labels": {"example.com/team": "data"},
}


@pytest.fixture
async def api(tmp_path):
    async with running_api(tmp_path, ApiSettings(store_policy=StorePolicy(), pod_policy=POLICY)) as running:
        await upload_programs(running)
        yield running


async def test_what_a_job_asks_of_its_pods_is_kept_and_shown_as_it_was_given(api):
    status, answer = await submit(api, kubernetes=WHOLE)
    assert status == 201
    assert answer["job"]["kubernetes"] == WHOLE
    assert api.jobs.job(JobId(answer["job"]["id"])).spec.kubernetes == PodOverrides(
        requests={"cpu": "500m"},
        limits={"memory": "2Gi"},
        image="worker:2",
        node_selector={"disk": "fast"},
        tolerations=(Toleration("spot", "Exists", "", "NoExecute", 60),),
        labels={"example.com/team": "data"},
    )


async def test_numbers_are_quantities_and_nothing_asked_is_nothing_kept(api):
    _, answer = await submit(api, kubernetes={"resources": {"limits": {"cpu": 2}}})
    assert answer["job"]["kubernetes"] == {"resources": {"limits": {"cpu": "2"}}}
    _, answer = await submit(api, kubernetes={}, outputPath="s3://out/other")
    assert "kubernetes" not in answer["job"]


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ({"resources": {"limits": {"memory": "much"}}}, "kubernetes.resources.limits.memory", "no quantity"),
        ({"resources": {"limits": {"memory": True}}}, "kubernetes.resources.limits.memory", "string"),
        ({"resources": {"limits": {"memory": "64Gi"}}}, "kubernetes.resources.limits.memory", "8Gi at most"),
        ({"image": "-rf"}, "kubernetes.image", "no image"),
        ({"image": "worker/../evil"}, "kubernetes.image", "no image"),
        ({"image": "other:1"}, "kubernetes.image", "worker:*"),
        ({"nodeSelector": {"a b": "c"}}, "kubernetes.nodeSelector.a b", "no key"),
        ({"labels": {"a": "x y"}}, "kubernetes.labels.a", "no value of a label"),
        ({"labels": {"apollo.io/job": "x"}}, "kubernetes.labels.apollo.io/job", "not a job's"),
        ({"tolerations": [{"key": "spot", "operator": "Exists", "value": "x"}]}, "kubernetes.tolerations.0", "Exists"),
        ({"tolerations": [{"effect": "NoSchedule"}]}, "kubernetes.tolerations.0", "names no key"),
        ({"serviceAccountName": "default"}, "kubernetes.serviceAccountName", "SERVICE_ACCOUNTS"),
        ({"hostNetwork": True}, "kubernetes.hostNetwork", "no such field"),
        ("much", "kubernetes", "an object"),
    ],
)
async def test_what_is_wrong_is_named_with_its_field_and_what_to_do(api, asked, field, words):
    status, problem = await submit(api, kubernetes=asked)
    assert status == 422
    assert fields(problem) == [field]
    assert words in problem["detail"]


async def test_workers_that_are_no_pods_take_no_wishes(tmp_path):
    async with running_api(tmp_path) as api:
        await upload_programs(api)
        status, problem = await submit(api, kubernetes={"labels": {"a": "b"}})
    assert (status, fields(problem)) == (422, ["kubernetes"])
    assert "no pods of Kubernetes. Leave it out." in problem["detail"]
