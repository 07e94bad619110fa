"""The worker pod: what the operator writes, and what the pool insists on."""

import pytest
import yaml

from apollo_common.errors import InvalidSetting
from apollo_common.ids import JobId
from apollo_coordinator.core.pod_overrides import PodOverrides
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.template import JobOwner, PodTemplate
from support.kubernetes_pools import worker_manifest

OWNER = JobOwner(JobId("job1"), "apollo-job-job1", "some-uid")


ASKS_NOTHING = PodOverrides()


def rendered(manifest: dict) -> dict:
    return PodTemplate(manifest).pod("w1", Names(), OWNER, orphan_seconds=600)


def test_what_the_operator_wrote_is_kept():
    manifest = worker_manifest(nodeSelector={"disk": "fast"}, volumes=[{"name": "tmp", "emptyDir": {}}])
    manifest["metadata"] = {"labels": {"team": "data"}, "annotations": {"a": "b"}}
    manifest["spec"]["containers"][0]["env"] = [{"name": "LANG", "value": "C"}]
    pod = rendered(manifest)
    assert pod["spec"]["nodeSelector"] == {"disk": "fast"}
    assert {"name": "tmp", "emptyDir": {}} in pod["spec"]["volumes"]
    assert pod["metadata"]["labels"]["team"] == "data"
    assert pod["metadata"]["annotations"] == {
        "a": "b",
        "apollo.io/template": PodTemplate(manifest).version(ASKS_NOTHING),
    }
    assert {"name": "LANG", "value": "C"} in pod["spec"]["containers"][0]["env"]


def test_what_the_pool_relies_on_wins():
    manifest = worker_manifest(restartPolicy="Always", automountServiceAccountToken=True)
    manifest["metadata"] = {"namespace": "elsewhere", "labels": {"apollo.io/job": "other"}}
    manifest["spec"]["containers"][0]["env"] = [{"name": "APOLLO_TLS_DIR", "value": "/none"}]
    pod = rendered(manifest)
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "namespace" not in pod["metadata"]
    assert pod["metadata"]["labels"]["apollo.io/job"] == "job1"
    directories = [item for item in pod["spec"]["containers"][0]["env"] if item["name"] == "APOLLO_TLS_DIR"]
    assert directories == [{"name": "APOLLO_TLS_DIR", "value": "/var/run/secrets/apollo.io/tls"}]


def test_a_version_stands_for_all_that_a_pod_is_made_from():
    template = PodTemplate(worker_manifest())
    assert template.version(ASKS_NOTHING) == PodTemplate(worker_manifest()).version(PodOverrides())
    others = [
        PodTemplate(worker_manifest(nodeSelector={"disk": "fast"})).version(ASKS_NOTHING),
        PodTemplate(worker_manifest(), {"AWS_REGION": "here"}).version(ASKS_NOTHING),
        PodTemplate(worker_manifest(), beside={"a": "b"}).version(ASKS_NOTHING),
        template.version(PodOverrides(image="other")),
    ]
    assert len({template.version(ASKS_NOTHING), *others}) == 5


def test_a_pod_gets_its_workers_keys_and_not_the_coordinators():
    manifest = worker_manifest(volumes=[{"name": "tmp", "emptyDir": {}}])
    manifest["spec"]["containers"][0]["volumeMounts"] = [{"name": "tmp", "mountPath": "/tmp"}]
    spec = rendered(manifest)["spec"]
    (secret,) = (volume["secret"] for volume in spec["volumes"] if "secret" in volume)
    assert secret["secretName"] == "apollo-job-job1"
    assert {item["key"] for item in secret["items"]} == {"ca.crt", "worker.crt", "worker.key"}
    assert secret["defaultMode"] & 0o007 == 0
    mount = spec["containers"][0]["volumeMounts"][-1]
    assert (mount["mountPath"], mount["readOnly"]) == ("/var/run/secrets/apollo.io/tls", True)


def test_workers_look_for_s3_where_the_coordinator_does_unless_the_template_says_otherwise():
    manifest = worker_manifest()
    manifest["spec"]["containers"][0]["env"] = [{"name": "AWS_REGION", "value": "own"}]
    around = {"AWS_ENDPOINT_URL_S3": "http://s3", "AWS_REGION": "other", "AWS_SECRET_ACCESS_KEY": "secret", "HOME": "/"}
    (container,) = PodTemplate(manifest, around).pod("w", Names(), OWNER, orphan_seconds=1)["spec"]["containers"]
    given = {item["name"]: item.get("value") for item in container["env"] if not item["name"].startswith("APOLLO_")}
    assert given == {"AWS_ENDPOINT_URL_S3": "http://s3", "AWS_REGION": "own"}


def test_the_job_owns_the_pod():
    (owner,) = rendered(worker_manifest())["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("ConfigMap", "apollo-job-job1", "some-uid")


def test_pods_do_not_share_what_is_rendered():
    template = PodTemplate(worker_manifest())
    first = template.pod("w1", Names(), OWNER, orphan_seconds=1)
    first["spec"]["containers"][0]["env"].clear()
    assert template.pod("w2", Names(), OWNER, orphan_seconds=1)["spec"]["containers"][0]["env"]


def test_claims_are_found():
    volumes = [{"name": "a", "persistentVolumeClaim": {"claimName": "shared"}}, {"name": "b", "emptyDir": {}}]
    assert PodTemplate(worker_manifest(volumes=volumes)).claims == ["shared"]
    assert PodTemplate(worker_manifest()).claims == []


@pytest.mark.parametrize(
    "content", ["", "[]", "kind: Pod", "kind: Deployment", "{", "kind: Pod\nspec: {containers: [1]}"]
)
def test_a_file_that_describes_no_worker_is_refused(tmp_path, content):
    path = tmp_path / "pod.yaml"
    path.write_text(content)
    with pytest.raises(InvalidSetting, match=r"pod\.yaml"):
        PodTemplate.load(path)


def test_an_image_is_needed_and_the_operators_wins(tmp_path):
    path, manifest = tmp_path / "pod.yaml", worker_manifest()
    path.write_text(yaml.safe_dump(manifest))
    pod = PodTemplate.load(path, image="other:1").pod("w", Names(), OWNER, orphan_seconds=1)
    assert pod["spec"]["containers"][0]["image"] == "other:1"
    del manifest["spec"]["containers"][0]["image"]
    path.write_text(yaml.safe_dump(manifest))
    with pytest.raises(InvalidSetting, match="APOLLO_WORKER_IMAGE"):
        PodTemplate.load(path)


def test_the_operators_annotations_are_beside_the_files(tmp_path):
    path, manifest = tmp_path / "pod.yaml", worker_manifest()
    manifest["metadata"] = {"annotations": {"a": "of-the-file", "b": "of-the-file"}}
    path.write_text(yaml.safe_dump(manifest))
    template = PodTemplate.load(path, annotations=("b=of-the-setting", "example.com/c=x=y"))
    annotations = template.pod("w", Names(), OWNER, orphan_seconds=1)["metadata"]["annotations"]
    expected = {"a": "of-the-file", "b": "of-the-setting", "example.com/c": "x=y"}
    assert annotations == expected | {"apollo.io/template": template.version(ASKS_NOTHING)}
    assert template.version(ASKS_NOTHING) != PodTemplate.load(path).version(ASKS_NOTHING)


@pytest.mark.parametrize("entry", ["a", "=b"])
def test_an_annotation_without_name_or_value_is_refused(tmp_path, entry):
    path = tmp_path / "pod.yaml"
    path.write_text(yaml.safe_dump(worker_manifest()))
    with pytest.raises(InvalidSetting, match=r"APOLLO_WORKER_ANNOTATIONS: .* is not NAME=VALUE"):
        PodTemplate.load(path, annotations=(entry,))


def test_the_operators_priority_class_wins(tmp_path):
    path = tmp_path / "pod.yaml"
    path.write_text(yaml.safe_dump(worker_manifest(priorityClassName="of-the-file")))
    for given, expected in (("", "of-the-file"), ("of-the-setting", "of-the-setting")):
        pod = PodTemplate.load(path, priority_class=given).pod("w", Names(), OWNER, orphan_seconds=1)
        assert pod["spec"]["priorityClassName"] == expected


def test_a_file_is_read(tmp_path):
    path = tmp_path / "pod.yaml"
    path.write_text(yaml.safe_dump(worker_manifest()))
    assert PodTemplate.load(path).pod("w", Names(), OWNER, orphan_seconds=1)["metadata"]["name"] == "w"


def test_without_a_shared_volume_workers_mount_none(tmp_path):
    """Map outputs lie in a bucket: the template that serves a cluster with a shared volume serves this one too."""
    volumes = [
        {"name": "shared", "persistentVolumeClaim": {"claimName": "apollo-intermediate"}},
        {"name": "work", "emptyDir": {}},
    ]
    manifest = worker_manifest(volumes=volumes)
    manifest["spec"]["containers"][0]["volumeMounts"] = [
        {"name": "shared", "mountPath": "/var/lib/apollo/intermediate"},
        {"name": "work", "mountPath": "/work"},
    ]
    path = tmp_path / "worker-pod.yaml"
    path.write_text(yaml.safe_dump(manifest))
    assert PodTemplate.load(path).claims == ["apollo-intermediate"]
    template = PodTemplate.load(path, shared_volume=False)
    assert template.claims == []
    spec = template.pod("w", Names(), OWNER, orphan_seconds=1)["spec"]
    assert volumes[1] in spec["volumes"]
    assert {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]} >= {"/work"}
    assert "/var/lib/apollo/intermediate" not in str(spec)
    assert {"name": "APOLLO_SHARED_VOLUME", "value": "false"} in spec["containers"][0]["env"]
    with_volume = PodTemplate.load(path).pod("w", Names(), OWNER, orphan_seconds=1)["spec"]
    assert "APOLLO_SHARED_VOLUME" not in str(with_volume)


def test_workers_of_a_volume_for_one_node_are_put_beside_the_pods_that_have_it():
    beside = {"app.kubernetes.io/component": "coordinator", "app.kubernetes.io/instance": "apollo"}
    own = {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": "zone"}
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    manifest = worker_manifest(affinity={"nodeAffinity": {"n": 1}, "podAffinity": {required: [own]}})
    affinity = PodTemplate(manifest, beside=beside).pod("w1", Names(), OWNER, orphan_seconds=1)["spec"]["affinity"]
    assert affinity["nodeAffinity"] == {"n": 1}
    near = {"labelSelector": {"matchLabels": beside}, "topologyKey": "kubernetes.io/hostname"}
    assert affinity["podAffinity"][required] == [own, near]
    assert "affinity" not in rendered(worker_manifest())["spec"]


def test_a_pod_below_a_headless_service_gets_its_name_as_host_name():
    assert rendered(worker_manifest(subdomain="apollo-workers"))["spec"]["hostname"] == "w1"
    assert "hostname" not in rendered(worker_manifest())["spec"]


@pytest.mark.parametrize(("spec", "seconds"), [
    ({}, "20"), ({"terminationGracePeriodSeconds": 60}, "50"), ({"terminationGracePeriodSeconds": 5}, "2"),
])  # fmt: skip
def test_a_worker_may_finish_its_attempt_within_the_pods_grace(spec, seconds):
    env = {
        item["name"]: item.get("value") for item in rendered(worker_manifest(**spec))["spec"]["containers"][0]["env"]
    }
    assert env["APOLLO_DRAIN_SECONDS"] == seconds
