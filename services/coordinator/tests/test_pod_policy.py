"""What operators let jobs ask of their pods."""

import pytest

from apollo_common.errors import InvalidSetting
from apollo_coordinator.core.pod_overrides import PodOverrides, Toleration
from apollo_coordinator.pod_policy import PodPolicy, parse_most
from apollo_coordinator.settings import CoordinatorSettings

MOST = {"cpu": "4", "memory": "8Gi"}


def refused(policy: PodPolicy, **asked) -> list[str]:
    return [refusal.field for refusal in policy.refusals(PodOverrides(**asked))]


def test_resources_are_compared_as_quantities_whatever_their_unit():
    policy = PodPolicy(MOST)
    assert refused(policy, limits={"cpu": "4000m", "memory": "8192Mi"}, requests={"cpu": "0.5"}) == []
    assert refused(policy, limits={"cpu": "4001m"}) == ["kubernetes.resources.limits.cpu"]
    assert refused(policy, requests={"memory": "9G"}, limits={"memory": "9G"}) == [
        "kubernetes.resources.requests.memory",
        "kubernetes.resources.limits.memory",
    ]


def test_a_resource_that_the_operator_did_not_name_is_not_to_be_had():
    (refusal,) = PodPolicy(MOST).refusals(PodOverrides(limits={"nvidia.com/gpu": "1"}))
    assert refusal.field == "kubernetes.resources.limits.nvidia.com/gpu"
    assert refusal.fix == "Leave it out. To be had: cpu, memory."
    assert refused(PodPolicy(MOST | {"nvidia.com/gpu": "2"}), limits={"nvidia.com/gpu": "1"}) == []


def test_a_request_above_its_limit_is_refused_here_and_not_by_the_api_server():
    asked = {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}
    assert refused(PodPolicy(MOST), **asked) == ["kubernetes.resources.requests.memory"]


def test_by_default_jobs_choose_none_of_it():
    everything = {
        "image": "worker:2",
        "node_selector": {"disk": "fast"},
        "tolerations": (Toleration("spot", "Exists"),),
        "priority_class_name": "high",
        "service_account_name": "mine",
        "labels": {"team": "data"},
    }
    assert refused(PodPolicy(), **everything) == [
        "kubernetes.image",
        "kubernetes.priorityClassName",
        "kubernetes.serviceAccountName",
        "kubernetes.nodeSelector.disk",
        "kubernetes.tolerations.0",
        "kubernetes.labels.team",
    ]
    defaults = CoordinatorSettings.load({}).model_dump()
    assert {value for name, value in defaults.items() if name.startswith("kubernetes_allowed_")} == {()}


@pytest.mark.parametrize("key", ["apollo.io/job", "app.kubernetes.io/component", "x.apollo.io/y", "k8s.io/z"])
def test_labels_of_kubernetes_and_apollo_are_refused_whatever_the_operator_allows(key):
    assert refused(PodPolicy(labels=("*",)), labels={key: "x"}) == [f"kubernetes.labels.{key}"]


def test_labels_that_only_look_reserved_are_the_operators_to_allow():
    assert refused(PodPolicy(labels=("*",)), labels={"notapollo.io/x": "1", "apollo.io": "1"}) == []
    assert refused(PodPolicy(labels=("team",)), labels={"team": "a", "cost": "b"}) == ["kubernetes.labels.cost"]


def test_images_match_whole_patterns():
    policy = PodPolicy(images=("registry.example.com/team/*", "worker:1"))
    for image in ("registry.example.com/team/a/b:1@sha256:00", "worker:1"):
        assert refused(policy, image=image) == []
    (refusal,) = policy.refusals(PodOverrides(image="evil.com/registry.example.com/team/a"))
    assert refusal.fix == (
        "Use one that matches registry.example.com/team/* or worker:1. "
        "The operator allows more with APOLLO_KUBERNETES_ALLOWED_IMAGES."
    )


def test_a_toleration_is_allowed_as_far_as_it_reaches():
    policy = PodPolicy(tolerations=("spot=true:NoSchedule", "pool=*:*"))
    assert refused(policy, tolerations=(Toleration("spot", value="true", effect="NoSchedule"),)) == []
    assert refused(policy, tolerations=(Toleration("pool", "Exists"),)) == []
    wider = (
        Toleration("spot", value="true"),  # every effect
        Toleration("spot", "Exists", effect="NoSchedule"),  # every value
        Toleration(operator="Exists"),  # every taint
    )
    assert refused(policy, tolerations=wider) == [f"kubernetes.tolerations.{index}" for index in range(3)]


def test_the_operators_limits_are_read_and_what_is_none_is_refused():
    assert parse_most(("cpu=2", "memory=1Gi")) == {"cpu": "2", "memory": "1Gi"}
    for wrong in ("cpu", "=2", "memory=much"):
        with pytest.raises(InvalidSetting, match="APOLLO_KUBERNETES_MAX_RESOURCES"):
            parse_most((wrong,))
