"""A Prometheus scrapes the coordinator and the worker pods that it makes, by their annotations; what Grafana is given.

Debian's Prometheus is built without the discovery of Kubernetes. A file tells it of pods what that would, as told in
https://prometheus.io/docs/prometheus/latest/configuration/configuration/#kubernetes_sd_config (role `pod`). Which are
scraped, where, and as what, is decided by the rest of infra/prometheus/kubernetes.yml.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from apollo_client.rest import RestClient
from support.apollo_cli import REPOSITORY
from support.installation import COORDINATOR_POD, NAMESPACE, Installation
from support.manifests import KUSTOMIZE, of_kind, render
from support.prometheus import Prometheus, running_prometheus
from support.rest_jobs import ended, job_when, maps_completed
from support.slow_words import SlowWords

pytestmark = pytest.mark.timeout(300)

PROMETHEUS = REPOSITORY / "infra/prometheus"
FOUND = "pods.json"
LOOK_SECONDS = 0.5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Prometheus]:
    """As kubernetes.yml says, every second."""
    configuration = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(PROMETHEUS / "rules/*.yml")]
    (job,) = configuration["scrape_configs"]
    assert [discovery["role"] for discovery in job.pop("kubernetes_sd_configs")] == ["pod"]
    job["file_sd_configs"] = [{"files": [FOUND], "refresh_interval": "1s"}]
    (tmp_path / FOUND).write_text("[]")
    with running_prometheus(tmp_path, configuration) as running:
        yield running


@asynccontextmanager
async def discovering(installation: Installation, file: Path) -> AsyncIterator[None]:
    """Keeps the file up to date meanwhile."""

    async def look() -> None:
        while True:
            pods = await asyncio.to_thread(installation.namespace.get, "pods")
            fresh = file.with_suffix(".new")
            fresh.write_text(json.dumps([target for pod in pods for target in targets_of(pod)]))
            fresh.rename(file)
            await asyncio.sleep(LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def targets_of(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One for each port of its containers."""
    metadata, address = pod["metadata"], pod["status"].get("podIP")
    if address is None:
        return
    labels = {"namespace": metadata["namespace"], "pod_name": metadata["name"], "pod_ip": address}
    labels |= {"pod_phase": pod["status"]["phase"]}
    for what in ("label", "annotation"):
        for name, value in metadata.get(f"{what}s", {}).items():
            labels[f"pod_{what}_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}"] = value
    meta = {f"__meta_kubernetes_{name}": value for name, value in labels.items()}
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", ()):
            yield {"targets": [f"{address}:{port['containerPort']}"], "labels": meta}


async def test_prometheus_scrapes_coordinator_and_workers(
    installation: Installation, rest: RestClient, slow_words: SlowWords, server: Prometheus, tmp_path: Path
) -> None:
    async with discovering(installation, tmp_path / FOUND):
        job = await slow_words.submit(rest, "watched", seconds=2)
        await job_when(rest, job, maps_completed(2))
        workers = installation.pods_of(job).keys()
        assert (await ended(rest, job))["status"] == "succeeded"
        async with asyncio.timeout(60):  # the last scrape may be a moment away
            while not scraped(server, "sum(apollo_output_bytes_total) > 0"):
                await asyncio.sleep(LOOK_SECONDS)
    seen = {(series.labels["job"], series.labels["pod"]) for series in server.query("max_over_time(up[10m]) == 1")}
    assert {("apollo-coordinator", COORDINATOR_POD), *(("apollo-worker", pod) for pod in workers)} <= seen
    assert {name for name, _ in seen} == {"apollo-coordinator", "apollo-worker"}  # the S3 server is not annotated
    for asked in (
        f'sum(apollo_attempts_total{{namespace="{NAMESPACE}", phase="map", outcome="succeeded"}}) >= {SlowWords.MAPS}',
        "sum(max_over_time(apollo_worker_input_bytes_total[10m])) > 0",
        'min(min_over_time(apollo_volume_free_bytes{volume="intermediate"}[10m])) > 0',
        "namespace:apollo_journal_append_duration_seconds:mean_rate5m > 0",
    ):
        assert scraped(server, asked), asked
    assert {rule["health"] for rule in server.rules()} == {"ok"}


def scraped(server: Prometheus, condition: str) -> bool:
    return bool(server.query(condition))


def test_grafana_finds_the_dashboards_and_the_operator_the_rules(installation: Installation, tmp_path: Path) -> None:
    """The API server takes the dashboards; the operator's own resources are not in this cluster: they are read."""
    names = ("dashboards", "monitoring", "alerts")
    components = [os.path.relpath(KUSTOMIZE / "components" / name, tmp_path) for name in names]
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": NAMESPACE}
    kustomization = head | {"components": components}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    objects = render(tmp_path)
    dashboards = of_kind(objects, "ConfigMap")
    stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": dashboards})
    installation.namespace.kubectl("apply", "--dry-run=server", "-f", "-", stdin=stdin)
    titles = set()
    for dashboard in dashboards:
        assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
        (content,) = dashboard["data"].values()
        titles.add(json.loads(content)["title"])
    assert titles == {"Apollo / Overview", "Apollo / Job flow", "Apollo / Workers", "Apollo / Coordinator"}
    kinds = sorted(item["kind"] for item in objects if item["kind"] != "ConfigMap")
    assert kinds == ["PodMonitor", "PodMonitor", "PrometheusRule"]
