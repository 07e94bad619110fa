"""What the NetworkPolicies allow, computed by cyclonus, is what docs/security.md says.

Nothing in the test cluster enforces them. cyclonus applies the API's rules to single connections.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.apollo_cli import REPOSITORY
from support.cluster.binaries import ensure_binaries
from support.manifests import KUSTOMIZE, coordinator_pod, of_kind, render, worker_pod

pytestmark = pytest.mark.timeout(900)  # with a cold cache the first of them builds cyclonus

NAMESPACE = "apollo"
PORTS = [("TCP", 53), ("UDP", 53), *(("TCP", port) for port in (22, 80, 443, 4750, 6443, 8080, 8090, 8091, 8333))]
ELSEWHERE = "default"
API_CLIENT = {"apollo.io/api-client": "true"}
MONITORING = {"apollo.io/monitoring": "true"}
ROW = re.compile(r"^\| (.+) \|$", re.MULTILINE)


def inside(labels: dict[str, str], namespace: str = NAMESPACE, **namespace_labels: str) -> list[dict]:
    names = {"kubernetes.io/metadata.name": namespace} | namespace_labels
    peer = {"PodLabels": labels, "NamespaceLabels": names, "Namespace": namespace}
    return [{"Internal": peer, "IP": "10.244.0.9"}]


def outside(*addresses: str) -> list[dict]:
    """Every one of them has to be treated alike."""
    return [{"Internal": None, "IP": address} for address in addresses]


@pytest.fixture(scope="module")
def tools() -> Iterator[None]:
    """On PATH; no cluster is needed."""
    with pytest.MonkeyPatch.context() as patch:
        for directory in ensure_binaries(("kubernetes", "cyclonus")):
            patch.setenv("PATH", str(directory), prepend=os.pathsep)
        yield


@pytest.fixture(scope="module", params=["staging", "prod"])
def rendered(request, tools) -> list[dict]:
    return render(KUSTOMIZE / "overlays" / request.param)


@pytest.fixture(scope="module")
def peers(rendered, tmp_path_factory) -> dict[str, list[dict]]:
    """Who the page's tables speak of."""
    worker = worker_pod(rendered, tmp_path_factory.mktemp("worker"))["metadata"]["labels"]
    return {
        "the coordinator": inside(coordinator_pod(rendered)["metadata"]["labels"]),
        "a worker": inside(worker),
        "another pod of the namespace": inside({"app": "other"}),
        "a pod elsewhere": inside({"app": "other"}, ELSEWHERE),
        'a pod elsewhere labelled `apollo.io/api-client: "true"`': inside(API_CLIENT, ELSEWHERE),
        "any pod of a namespace with that label": inside({"app": "other"}, ELSEWHERE, **API_CLIENT),
        'any pod of a namespace labelled `apollo.io/monitoring: "true"`': inside({}, ELSEWHERE, **MONITORING),
        "the cluster's DNS": inside({"k8s-app": "kube-dns"}, "kube-system"),
        "public addresses, as S3 has": outside("52.216.0.1", "2600:1fa0::1"),
        "private addresses, as the Kubernetes API has": outside("10.96.0.1", "172.20.0.1", "192.168.1.10", "fd12::1"),
        "the node's and the cloud's metadata": outside("169.254.169.254", "fd00:ec2::254"),
        "somebody outside the cluster": outside("198.51.100.7", "2001:db8::7"),
    }


def documented() -> dict[tuple[str, str], str]:
    """(who calls, who is called) -> ports, as the two tables under "Network" say."""
    page = (REPOSITORY / "docs/security.md").read_text().partition("## Network")[2].partition("\n## ")[0]
    said: dict[tuple[str, str], str] = {}
    heads: list[str] = []
    for row in ROW.findall(page):
        first, *cells = row.split(" | ")
        if first.startswith("---"):
            continue
        if first in ("from", "to"):
            heads, calls = cells, first == "from"
            continue
        for head, cell in zip(heads, cells, strict=True):
            said[(first, head) if calls else (head, first)] = cell
    return said


@pytest.fixture(scope="module")
def allowed(rendered, peers, tmp_path_factory) -> dict[tuple[str, str], str]:
    """The same, computed."""
    pairs = list(documented())
    asked = [
        (pair, protocol, port, {"Source": source, "Destination": target, "ResolvedPort": port, "Protocol": protocol})
        for pair in pairs
        for source in peers[pair[0]]
        for target in peers[pair[1]]
        for protocol, port in PORTS
    ]
    verdicts = cyclonus(rendered, [traffic for *_, traffic in asked], tmp_path_factory.mktemp("cyclonus"))
    assert len(verdicts) == len(asked)
    open_ports: dict[tuple[str, str], dict[str, set[bool]]] = {pair: {} for pair in pairs}
    for (pair, protocol, port, _), verdict in zip(asked, verdicts, strict=True):
        name = str(port) if protocol == "TCP" else f"{port}/{protocol}"
        open_ports[pair].setdefault(name, set()).add(verdict)
    for pair, ports in open_ports.items():
        assert all(len(verdicts) == 1 for verdicts in ports.values()), f"{pair}: addresses are not treated alike"
    return {
        pair: ", ".join(port for port, said in ports.items() if said == {True}) or "none"
        for pair, ports in open_ports.items()
    }


def cyclonus(objects: list[dict], traffic: list[dict], folder: Path) -> list[bool]:
    policies, questions = folder / "policies.json", folder / "traffic.json"
    items = of_kind(objects, "NetworkPolicy")
    listed = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicyList", "items": items}
    policies.write_text(json.dumps(listed))
    questions.write_text(json.dumps(traffic))
    command = ["cyclonus", "analyze", "--mode=query-traffic", "--policy-path", policies, "--traffic-path", questions]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [verdict == "TRUE" for verdict in re.findall(r"IS ALLOWED\?\s*\|\s*(TRUE|FALSE)", answer)]


def test_the_table_says_what_the_policies_allow(allowed):
    assert allowed == documented()


def test_the_table_speaks_of_everybody_and_of_everything(peers):
    callers, called = ({pair[side] for pair in documented()} for side in (0, 1))
    assert callers | called == set(peers)
    for apollo in ("the coordinator", "a worker"):
        assert apollo in callers & called


def test_every_policy_selects_pods_that_there_are(rendered, peers):
    """A label that is misspelt selects nothing, and protects nothing."""
    pods = [peers[name][0]["Internal"]["PodLabels"] for name in ("the coordinator", "a worker")]
    for policy in of_kind(rendered, "NetworkPolicy"):
        wanted = policy["spec"]["podSelector"].get("matchLabels", {}).items()
        assert any(wanted <= labels.items() for labels in pods), policy["metadata"]["name"]
        assert policy["metadata"]["namespace"] == NAMESPACE
