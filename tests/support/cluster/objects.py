"""What a cluster service would provide: DNS, and volumes to claim."""

import json
from typing import Any

from support.cluster.configuration import DNS_PORT, DNS_SERVICE_IP
from support.cluster.places import State

STORAGE_CLASS = "standard"
_VOLUMES = 96  # each is claimed once


def first_objects(state: State, host_ip: str, node: str) -> str:
    """A List for `kubectl apply`; makes the volumes' directories."""
    volumes = []
    for number in range(_VOLUMES):
        path = state.root / "volumes" / str(number)
        path.mkdir(parents=True)
        volumes.append(_volume(number, str(path), node))
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [*_dns(host_ip), _STORAGE_CLASS_OBJECT, *volumes]})


def _dns(host_ip: str) -> list[dict[str, Any]]:
    """CoreDNS runs on the host: a Service without a selector leads there."""
    both = [("dns", "UDP"), ("dns-tcp", "TCP")]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {
            "clusterIP": DNS_SERVICE_IP,
            "ports": [
                {"name": name, "port": 53, "protocol": protocol, "targetPort": DNS_PORT} for name, protocol in both
            ],
        },
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns-host",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host_ip], "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": DNS_PORT, "protocol": protocol} for name, protocol in both],
    }
    return [service, endpoints]


_STORAGE_CLASS_OBJECT: dict[str, Any] = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/no-provisioner",
    "volumeBindingMode": "WaitForFirstConsumer",
}


def _volume(number: int, path: str, node: str) -> dict[str, Any]:
    """A directory of the one node: each can be claimed ReadWriteOnce or, as on a shared file system, ReadWriteMany."""
    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"directory-{number}"},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [here]}},
        },
    }
