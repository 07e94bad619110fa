"""The API server accepts every overlay and component, restricted Pod Security their pods; what sets them apart."""

import copy
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from support.manifests import (
    CLUSTER_SCOPED,
    KUSTOMIZE,
    OVERLAYS,
    Object,
    coordinator_pod,
    coordinator_settings,
    of_kind,
    one,
    render,
    second_installation,
    worker_pod,
    worker_settings,
)

pytestmark = pytest.mark.timeout(600)  # the first builds images

GUARDED = ("staging", "prod")
VOLUMES = ("volumes/nfs", "volumes/efs", "volumes/cephfs")
DIGEST = "@sha256:"


@pytest.fixture(params=OVERLAYS)
def overlay(request, cluster) -> list[Object]:
    return render(KUSTOMIZE / "overlays" / request.param)


@pytest.fixture(params=GUARDED)
def guarded(request, cluster) -> list[Object]:
    return render(KUSTOMIZE / "overlays" / request.param)


def elsewhere(namespace: str, folder: Path, overlay: str, *components: str) -> list[Object]:
    """An overlay with further components, in another namespace than its own."""
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [os.path.relpath(KUSTOMIZE / "overlays" / overlay, folder)],
        "components": [os.path.relpath(KUSTOMIZE / "components" / name, folder) for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return render(folder)


def server_says(namespace, verb: str, *objects: Object) -> subprocess.CompletedProcess[str]:
    """What the API server makes of objects that it does not keep."""
    flags = ["--dry-run=server", "--namespace", namespace.name, "--filename=-"]
    stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    return subprocess.run(
        ["kubectl", verb, *flags], env=namespace.cluster.environment, input=stdin, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def assert_accepted(namespace, verb: str, *objects: Object) -> None:
    """Also without a warning, as the restricted standard gives for what makes pods."""
    done = server_says(namespace, verb, *objects)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def prepared(namespace, tmp_path):
    """With what a pod has to find at its admission."""
    objects = elsewhere(namespace.name, tmp_path, "dev")
    namespace.apply(*of_kind(objects, "ServiceAccount"), *of_kind(objects, "PriorityClass"))
    return namespace


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_accepted(namespace, tmp_path, name):
    assert_accepted(namespace, "apply", *elsewhere(namespace.name, tmp_path, name))


def test_a_second_installation_is_accepted_and_shares_no_object_with_the_first(namespace, tmp_path):
    first, kustomization = render(KUSTOMIZE / "overlays/prod"), second_installation()
    kustomization["namespace"] = namespace.name
    kustomization["resources"] = [os.path.relpath(KUSTOMIZE / "overlays/prod", tmp_path)]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    second = render(tmp_path)
    assert_accepted(namespace, "apply", *second)
    (binding,) = of_kind(second, "ClusterRoleBinding")
    (subject,) = binding["subjects"]
    assert subject["namespace"] == namespace.name
    assert binding["roleRef"]["name"] == of_kind(second, "ClusterRole")[0]["metadata"]["name"]
    (priority,) = of_kind(second, "PriorityClass")
    assert worker_pod(second, tmp_path)["spec"]["priorityClassName"] == priority["metadata"]["name"]
    assert not identities(first) & identities(second)


def identities(objects: list[Object]) -> set[tuple[str, str, str]]:
    """Kind, namespace and name of each."""
    assert all(
        ("namespace" in item["metadata"]) != (item["kind"] in CLUSTER_SCOPED | {"Namespace"}) for item in objects
    )
    return {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in objects}


@pytest.mark.parametrize("component", VOLUMES)
def test_a_storage_class_is_accepted(namespace, tmp_path, component):
    objects = elsewhere(namespace.name, tmp_path, "prod", component)
    assert of_kind(objects, "StorageClass")
    assert_accepted(namespace, "apply", *objects)


@pytest.mark.parametrize(("name", "components"), [("dev-bucket", []), ("prod", ["intermediate-s3"])])
def test_with_a_bucket_nothing_mounts_or_claims_a_shared_volume(namespace, tmp_path, name, components):
    """The bucket itself is the overlay's to name."""
    objects = elsewhere(namespace.name, tmp_path, name, *components)
    assert_accepted(namespace, "apply", *objects)
    assert not of_kind(objects, "PersistentVolumeClaim")
    assert not [volume for volume in coordinator_pod(objects)["spec"]["volumes"] if "persistentVolumeClaim" in volume]


def test_the_overlay_with_a_bucket_names_it(cluster):
    settings = coordinator_settings(render(KUSTOMIZE / "overlays/dev-bucket"))
    assert settings["APOLLO_INTERMEDIATE_DIR"].startswith("s3://apollo-intermediate/")


@pytest.mark.parametrize("name", OVERLAYS)
def test_its_pods_are_admitted(prepared, tmp_path, name):
    objects = elsewhere(prepared.name, tmp_path, name)
    assert_accepted(prepared, "create", coordinator_pod(objects), worker_pod(objects, tmp_path))


def test_a_pod_with_less_care_is_not_admitted(prepared, tmp_path):
    """Otherwise the test above would show nothing."""
    careless = copy.deepcopy(worker_pod(elsewhere(prepared.name, tmp_path, "prod"), tmp_path))
    del careless["spec"]["containers"][0]["securityContext"]["capabilities"]
    assert 'violates PodSecurity "restricted:latest"' in server_says(prepared, "create", careless).stderr


def test_there_is_one_coordinator_that_a_drain_may_move(overlay):
    spec = one(overlay, "StatefulSet", "apollo-coordinator")["spec"]
    assert spec["replicas"] == 1
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    governing = one(overlay, "Service", spec["serviceName"])["spec"]
    assert governing["clusterIP"] == "None"
    budget = one(overlay, "PodDisruptionBudget", "apollo-coordinator")["spec"]
    assert budget["maxUnavailable"] == 1
    for selector in (governing["selector"], budget["selector"]["matchLabels"], spec["selector"]["matchLabels"]):
        assert selector.items() <= spec["template"]["metadata"]["labels"].items()


def test_only_the_coordinator_gets_a_token(overlay, tmp_path):
    assert coordinator_pod(overlay)["spec"]["automountServiceAccountToken"] is True
    assert worker_pod(overlay, tmp_path)["spec"]["automountServiceAccountToken"] is False
    for account in of_kind(overlay, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    for deployment in of_kind(overlay, "Deployment"):
        assert deployment["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_a_workers_account_has_no_rights(overlay):
    bindings = of_kind(overlay, "RoleBinding") + of_kind(overlay, "ClusterRoleBinding")
    holders = {subject["name"] for binding in bindings for subject in binding["subjects"]}
    assert holders == {"apollo-coordinator"}


def test_dev_is_whole_and_for_one_node(cluster):
    objects = render(KUSTOMIZE / "overlays/dev")
    assert one(objects, "PersistentVolumeClaim", "apollo-intermediate")["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert coordinator_settings(objects)["APOLLO_KUBERNETES_SINGLE_NODE"] == "true"
    endpoint = coordinator_settings(objects)["AWS_ENDPOINT_URL_S3"]
    service = one(objects, "Service", "seaweedfs")
    assert endpoint == f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"


def test_guarded_overlays_bring_their_guards(guarded):
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind(guarded, "NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert worker_settings(guarded)["APOLLO_SANDBOX"] == "require"
    assert coordinator_settings(guarded)["APOLLO_TOKEN_REVIEW"] == "true"
    assert "AWS_ENDPOINT_URL_S3" not in coordinator_settings(guarded)
    assert not of_kind(guarded, "Secret"), "credentials would lie in the repository"


def test_what_a_site_says_is_used(guarded):
    site = one(guarded, "ConfigMap", "apollo-site")["data"]
    claim = one(guarded, "PersistentVolumeClaim", "apollo-intermediate")["spec"]
    assert (claim["accessModes"], claim["storageClassName"]) == (["ReadWriteMany"], site["storageClass"])
    settings = coordinator_settings(guarded)
    assert (settings["AWS_REGION"], settings["APOLLO_WORKER_IMAGE"]) == (site["region"], site["workerImage"])
    assert coordinator_pod(guarded)["spec"]["containers"][0]["image"] == site["coordinatorImage"]
    ingress = one(guarded, "Ingress", "apollo")["spec"]
    assert [rule["host"] for rule in ingress["rules"]] == ingress["tls"][0]["hosts"] == [site["host"]]
    annotated = {
        account["metadata"]["name"]: account["metadata"]["annotations"]
        for account in of_kind(guarded, "ServiceAccount")
        if "annotations" in account["metadata"]
    }
    assert annotated == {"apollo-coordinator": {"eks.amazonaws.com/role-arn": site["role"]}}


def test_prod_names_images_by_digest(cluster):
    site = one(render(KUSTOMIZE / "overlays/prod"), "ConfigMap", "apollo-site")["data"]
    assert DIGEST in site["coordinatorImage"]
    assert DIGEST in site["workerImage"]


def test_the_pod_monitors_select_the_pods_and_their_ports(overlay, tmp_path):
    """Their custom resource is not in this cluster: the names are compared here."""
    pods = {"apollo-coordinator": coordinator_pod(overlay), "apollo-worker": worker_pod(overlay, tmp_path)}
    monitors = yaml.safe_load_all((KUSTOMIZE / "components/monitoring/pod-monitors.yaml").read_text())
    for monitor in monitors:
        pod = pods.pop(monitor["metadata"]["name"])
        assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": monitor["metadata"]["name"]}]
        ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
        assert endpoint["port"] in ports
        assert endpoint["path"] == "/metrics"
    assert not pods
