"""The cluster that ./dev e2e kube has started, and Apollo on it."""

import json
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from apollo_client.rest import RestClient
from support.cluster.cluster import Cluster
from support.cluster.images import build_images
from support.cluster.namespaces import RESTRICTED, Namespace
from support.installation import Installation
from support.scenarios import *  # noqa: F403 - hooks
from support.slow_words import SlowWords


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    cluster = Cluster()
    if not cluster.is_up:
        pytest.fail("start the cluster first: ./dev e2e kube up")
    cluster.find_binaries()
    build_images(cluster)  # of this tree, whoever has started the cluster
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """Enforces the restricted Pod Security Standard, as Apollo's own does."""
    name = f"apollo-{uuid4().hex[:8]}"
    metadata = {"name": name, "labels": RESTRICTED}
    cluster.kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    )
    yield Namespace(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def installation(cluster: Cluster) -> Iterator[Installation]:
    """The dev overlay, one for all: tests give their jobs' outputs names of their own."""
    installed = Installation.apply(cluster)
    yield installed
    installed.delete()


@pytest.fixture
async def rest(installation: Installation) -> AsyncIterator[RestClient]:
    async with installation.client() as client:
        yield client


@pytest.fixture(scope="session")
def slow_words(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> SlowWords:
    """A job that is long enough to be met in the middle."""
    return SlowWords.put(installation, tmp_path_factory.mktemp("corpus"))
