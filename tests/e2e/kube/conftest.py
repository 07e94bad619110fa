"""The cluster that tests/e2e/kube/run has started, and a namespace of its own for every test."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from support.cluster.cluster import Cluster
from support.cluster.namespaces import RESTRICTED, Namespace


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    cluster = Cluster()
    if not cluster.is_up:
        pytest.fail("start the cluster first: ./dev e2e kube up")
    cluster.find_binaries()
    return cluster


@pytest.fixture
def namespace(cluster) -> Iterator[Namespace]:
    """Enforces the restricted Pod Security Standard, as Apollo's own does."""
    name = f"apollo-{uuid4().hex[:8]}"
    metadata = {"name": name, "labels": RESTRICTED}
    cluster.kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    )
    yield Namespace(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")
