"""The files that the components read at their start."""

import json
from pathlib import Path

from support.cluster.places import State

POD_NETWORK = "10.244.0.0/16"
NODE_PODS = "10.244.0.0/24"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
DNS_PORT = 5353  # CoreDNS runs on the host, where port 53 may be taken
PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
BRIDGE = "cni0"


def write_configuration(state: State) -> None:
    root = state.root
    documents = {
        "kubelet.json": _kubelet(state),
        "audit-policy.json": _AUDIT_POLICY,
        "cni/10-bridge.conflist": _NETWORK,
    }
    for name, document in documents.items():
        _write(root / name, json.dumps(document, indent=2))
    _write(root / "resolv.conf", "nameserver 127.0.0.1\n")
    _write(
        root / "containerd.toml", _CONTAINERD.format(root=root, more="") + _NODE.format(root=root, pause=PAUSE_IMAGE)
    )
    _write(root / "Corefile", _COREFILE.format(port=DNS_PORT, kubeconfig=state.kubeconfig))


def write_engine_configuration(state: State) -> None:
    """For a Docker Engine without a node: its containerd has no part for Kubernetes."""
    _write(state.root / "containerd.toml", _CONTAINERD.format(root=state.root, more=_NO_NODE))


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def _kubelet(state: State) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{state.containerd_socket}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(state.keys / "ca.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "clusterDNS": [DNS_SERVICE_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": str(state.root / "resolv.conf"),
        "volumeStatsAggPeriod": "10s",  # a minute otherwise, which an eviction for a full emptyDir waits for
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,  # never: a pull could not bring an image back, however full the disk is
    }


_NETWORK = {
    "cniVersion": "0.4.0",
    "name": "bridge",
    "plugins": [
        {
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": NODE_PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}

# What service accounts of namespaces do, without bodies: those hold Secrets.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:masters", "system:nodes"]},
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
    ],
}

_CONTAINERD = """\
version = 2
root = "{root}/containerd"
state = "{root}/containerd-run"
{more}
[grpc]
  address = "{root}/containerd.sock"
"""

# restrict_oom_score_adj: inside a container of one's own the scores below the parent's are refused.
_NODE = """\
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{pause}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{root}/cni"
"""

_NO_NODE = 'disabled_plugins = ["io.containerd.grpc.v1.cri"]'

_COREFILE = """\
.:{port} {{
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig}
  }}
}}
"""
