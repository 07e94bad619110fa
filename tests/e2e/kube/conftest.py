"""The cluster that tests/e2e/kube/run has started, Apollo on it, and a table of what every scenario came to."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from apollo_client.rest import RestClient
from support.cluster.cluster import Cluster
from support.cluster.images import build_images
from support.cluster.namespaces import RESTRICTED, Namespace
from support.corpus import coreutils_word_count, write_python_sources
from support.installation import Installation
from support.slow_words import SlowWords

RESULTS_VARIABLE = "APOLLO_E2E_RESULTS"  # a file for the table, besides standard output
BEFORE_ALL = "before_all"
AFTER_ALL = "after_all"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{BEFORE_ALL}: installs Apollo itself, so it runs before the others' is there")
    config.addinivalue_line("markers", f"{AFTER_ALL}: looks at what all the others did, so it runs behind them")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: (AFTER_ALL in item.keywords) - (BEFORE_ALL in item.keywords))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Scenario, result, seconds; below it what tests have recorded as properties."""
    ran = [
        report
        for outcome in ("passed", "failed", "error", "skipped")
        for report in terminalreporter.stats.get(outcome, ())
        if report.when == "call" or outcome in ("error", "skipped")
    ]
    if not ran:
        return
    rows = [f"| {_scenario(report.nodeid)} | {report.outcome} | {report.duration:.1f} |" for report in ran]
    table = ["| scenario | result | seconds |", "| --- | --- | --- |", *rows]
    told = [f"\n{name}: {value}" for report in ran for name, value in report.user_properties]
    text = "\n".join([*table, *told])
    terminalreporter.section("scenarios")
    terminalreporter.write_line(text)
    if RESULTS_VARIABLE in os.environ:
        results = Path(os.environ[RESULTS_VARIABLE])
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(f"{text}\n")


def _scenario(nodeid: str) -> str:
    return nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")


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
    corpus = write_python_sources(tmp_path_factory.mktemp("corpus") / "text", SlowWords.INPUT_BYTES)
    installation.put(SlowWords.INPUT, corpus)
    return SlowWords(installation, coreutils_word_count(corpus))
