"""Nodes that KWOK plays: the scheduler fills them, their pods are said to run and to end, and no process runs."""

import json
from pathlib import Path
from typing import Any

from support.cluster.binaries import ensure_binaries
from support.cluster.cluster import Cluster

PODS_PER_NODE = 100
POD_PLACE = {
    "nodeSelector": {"type": "simulated"},
    "tolerations": [{"key": "simulated", "operator": "Exists", "effect": "NoSchedule"}],
}
"""What a pod's specification says to be put on these nodes, and on no other."""

_KWOK = "kwok"
_STAGES = Path(__file__).parent / _KWOK / "stages.yaml"
_ANNOTATION = "kwok.x-k8s.io/node"
_POD_NETWORK = "10.128.0.1/16"


def start_simulated_nodes(cluster: Cluster, pods: int) -> None:
    """As many nodes as these pods need."""
    (programs,) = ensure_binaries([_KWOK])
    cluster.daemons.start(
        [programs / _KWOK, f"--kubeconfig={cluster.state.kubeconfig}", f"--config={_STAGES}", f"--cidr={_POD_NETWORK}",
         "--manage-all-nodes=false", f"--manage-nodes-with-annotation-selector={_ANNOTATION}=fake",
         f"--node-ip={cluster.host_ip}"]
    )  # fmt: skip
    nodes = [_node(number) for number in range(-(-pods // PODS_PER_NODE))]
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes}))
    cluster.kubectl("wait", "--for=condition=Ready", "nodes", "-l", "type=simulated", "--timeout=60s")


def stop_simulated_nodes(cluster: Cluster) -> None:
    cluster.kubectl("delete", "nodes", "-l", "type=simulated", "--ignore-not-found")
    cluster.daemons.stop(_KWOK)


def _node(number: int) -> dict[str, Any]:
    name = f"simulated-{number}"
    room = {"cpu": "1k", "memory": "1Ti", "pods": str(PODS_PER_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {_ANNOTATION: "fake"},
            "labels": {"type": "simulated", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {"taints": [{"key": "simulated", "effect": "NoSchedule"}]},
        "status": {"allocatable": room, "capacity": room},
    }
