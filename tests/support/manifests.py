"""What infra/kustomize comes to: its overlays and components rendered by the kustomize in kubectl, and read."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from apollo_common.ids import JobId
from apollo_coordinator.pools.kubernetes.names import Names
from apollo_coordinator.pools.kubernetes.template import JobOwner, PodTemplate
from support.apollo_cli import REPOSITORY

KUSTOMIZE = REPOSITORY / "infra/kustomize"
OVERLAYS = ("dev", "dev-bucket", "staging", "prod")
CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "PersistentVolume",
        "PriorityClass",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)
"""Kinds that belong to no namespace; but for Namespace, which `namespace:` renames."""

Object = dict[str, Any]


def render(directory: Path) -> list[Object]:
    """`kubectl kustomize`; kubectl has to be on PATH."""
    done = subprocess.run(["kubectl", "kustomize", directory], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def second_installation() -> Object:
    """The kustomization that docs/deploy.md shows for it, beside the overlays."""
    shown = re.findall(r"^```yaml\n(.*?)^```", (REPOSITORY / "docs/deploy.md").read_text(), re.DOTALL | re.MULTILINE)
    (found,) = (item for item in map(yaml.safe_load, shown) if "transformers" in item)
    return dict(found)


def of_kind(objects: Iterable[Object], kind: str) -> list[Object]:
    return [item for item in objects if item["kind"] == kind]


def one(objects: Iterable[Object], kind: str, name: str) -> Object:
    """By its name, or the name before the hash that kustomize has put behind it."""
    found = [item for item in of_kind(objects, kind) if _plain_name(item, name)]
    assert len(found) == 1, f"{len(found)} objects are {kind} {name}"
    return found[0]


def _plain_name(item: Object, name: str) -> bool:
    found = item["metadata"]["name"]
    return found == name or found.rpartition("-")[0] == name


def coordinator_settings(objects: Iterable[Object]) -> dict[str, str]:
    return one(objects, "ConfigMap", "apollo-settings")["data"]


def worker_settings(objects: Iterable[Object]) -> dict[str, str]:
    return one(objects, "ConfigMap", "apollo-worker-settings")["data"]


def coordinator_pod(objects: Iterable[Object]) -> Object:
    """The pod that the StatefulSet controller makes, its claim left out."""
    template = one(objects, "StatefulSet", "apollo-coordinator")["spec"]["template"]
    spec = template["spec"] | {"volumes": [*template["spec"]["volumes"], {"name": "data", "emptyDir": {}}]}
    metadata = template["metadata"] | {"name": "apollo-coordinator-0"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def worker_pod(objects: list[Object], folder: Path) -> Object:
    """The pod that the coordinator makes for a worker with the template that it mounts."""
    file = folder / "worker-pod.yaml"
    file.write_text(one(objects, "ConfigMap", "apollo-worker-pod")["data"][file.name])
    settings = coordinator_settings(objects)
    template = PodTemplate.load(
        file,
        image=settings["APOLLO_WORKER_IMAGE"],
        priority_class=settings["APOLLO_WORKER_PRIORITY_CLASS"],
        annotations=[*filter(None, settings.get("APOLLO_WORKER_ANNOTATIONS", "").split(","))],
        environment=settings,
    )
    owner = JobOwner(JobId("job1"), "apollo-job-job1", "00000000-0000-0000-0000-000000000000")
    return template.pod("apollo-worker-job1-a", Names(), owner, orphan_seconds=600)
