"""A job's wishes in the pod that the operator describes."""

from apollo_common.ids import JobId
from apollo_coordinator.core.pod_overrides import PodOverrides, Toleration
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.template import JobOwner, PodTemplate
from support.kubernetes_pools import worker_manifest

OWNER = JobOwner(JobId("job1"), "apollo-job-job1", "some-uid")


def rendered(asked: PodOverrides, *, resources: dict | None = None, **spec) -> dict:
    manifest = worker_manifest(**spec)
    if resources is not None:
        manifest["spec"]["containers"][0]["resources"] = resources
    return PodTemplate(manifest).pod("w1", Names(), OWNER, asked, orphan_seconds=600)


def resources(template: dict, **asked) -> dict:
    pod = rendered(PodOverrides(**asked), resources=template)
    return {name: sizes for name, sizes in pod["spec"]["containers"][0]["resources"].items() if sizes}


def test_a_job_that_asks_for_nothing_gets_the_template():
    assert rendered(PodOverrides()) == PodTemplate(worker_manifest()).pod("w1", Names(), OWNER, orphan_seconds=600)


def test_every_wish_lands_where_kubernetes_reads_it():
    asked = PodOverrides(
        image="worker:2",
        node_selector={"disk": "fast"},
        tolerations=(Toleration("spot", "Exists", effect="NoExecute", toleration_seconds=5),),
        priority_class_name="high",
        service_account_name="mine",
        labels={"team": "data"},
    )
    pod = rendered(asked, nodeSelector={"zone": "a"}, tolerations=[{"operator": "Exists"}], priority=7)
    spec = pod["spec"]
    assert spec["containers"][0]["image"] == "worker:2"
    assert spec["nodeSelector"] == {"zone": "a", "disk": "fast"}
    assert spec["tolerations"] == [
        {"operator": "Exists"},
        {"key": "spot", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5},
    ]
    assert (spec["priorityClassName"], spec["serviceAccountName"]) == ("high", "mine")
    assert "priority" not in spec
    assert pod["metadata"]["labels"]["team"] == "data"
    assert spec["automountServiceAccountToken"] is False


def test_the_pools_own_labels_win():
    assert rendered(PodOverrides(labels={"apollo.io/job": "x"}))["metadata"]["labels"]["apollo.io/job"] == "job1"


def test_a_lower_limit_takes_the_templates_request_with_it():
    template = {"requests": {"memory": "768Mi", "cpu": "500m"}, "limits": {"memory": "1Gi"}}
    assert resources(template, limits={"memory": "512Mi"}) == {
        "requests": {"memory": "512Mi", "cpu": "500m"},
        "limits": {"memory": "512Mi"},
    }


def test_a_higher_request_takes_the_templates_limit_with_it_and_never_drops_it():
    template = {"requests": {"memory": "768Mi"}, "limits": {"memory": "1Gi"}}
    assert resources(template, requests={"memory": "2Gi"}) == {
        "requests": {"memory": "2Gi"},
        "limits": {"memory": "2Gi"},
    }


def test_resources_of_other_names_stay():
    assert resources({"limits": {"memory": "1Gi"}}, limits={"cpu": "2"}) == {"limits": {"memory": "1Gi", "cpu": "2"}}
