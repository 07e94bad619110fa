"""A namespace of the cluster, and worker pods that it admits."""

import json
from dataclasses import dataclass
from typing import Any

from support.cluster.cluster import Cluster
from support.cluster.images import WORKER

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


@dataclass(frozen=True)
class Namespace:
    cluster: Cluster
    name: str

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        return self.cluster.kubectl("--namespace", self.name, *arguments, stdin=stdin)

    def get(self, kind: str) -> list[dict[str, Any]]:
        return json.loads(self.kubectl("get", kind, "--output=json"))["items"]

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def restricted_worker(**container: Any) -> dict[str, Any]:
    """A worker pod that the restricted standard admits."""
    security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    mounts = [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "intermediate", "mountPath": "/var/lib/apollo/intermediate"},
    ]
    worker = {"name": "worker", "image": WORKER, "imagePullPolicy": "Never", "securityContext": security}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "securityContext": {"runAsNonRoot": True, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [worker | {"volumeMounts": mounts} | container],
            "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "intermediate", "emptyDir": {}}],
        },
    }
