"""What a cluster's Prometheus and Grafana are given is what the plain files say. Needs no kubectl."""

import re
import subprocess
import sys

import yaml

from apollo_coordinator.settings import DEFAULT_PORT
from apollo_worker.settings import WorkerSettings
from observability.sources import DASHBOARDS, PROMETHEUS, anchors
from support.apollo_cli import REPOSITORY
from support.prometheus import promtool

KUSTOMIZE = REPOSITORY / "infra/kustomize"
COMPONENTS = KUSTOMIZE / "components"
CONFIGURATION = PROMETHEUS / "kubernetes.yml"
SCRAPED = COMPONENTS / "scrape-annotations/kustomization.yaml"
ANNOTATIONS = yaml.safe_load(SCRAPED.read_text())
OVERLAYS = tuple((KUSTOMIZE / "overlays").glob("*/kustomization.yaml"))


def test_the_operators_rules_are_those_of_the_files():
    """If this fails: ./dev gen."""
    command = [sys.executable, PROMETHEUS / "as_prometheus_rule.py"]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert made == (COMPONENTS / "alerts/prometheus-rule.yaml").read_text()
    groups = [yaml.safe_load(file.read_text())["groups"] for file in sorted((PROMETHEUS / "rules").glob("*.yml"))]
    assert yaml.safe_load(made)["spec"]["groups"] == [group for file in groups for group in file]


def test_the_operator_scrapes_as_often_as_the_plain_files_do():
    every = yaml.safe_load(CONFIGURATION.read_text())["global"]["scrape_interval"]
    monitors = yaml.safe_load_all((COMPONENTS / "monitoring/pod-monitors.yaml").read_text())
    assert [monitor["spec"]["podMetricsEndpoints"][0]["interval"] for monitor in monitors] == [every, every]


def test_every_dashboard_has_a_config_map_that_the_sidecar_finds():
    component = yaml.safe_load((REPOSITORY / "infra/grafana/kustomization.yaml").read_text())
    taken = set()
    for made in component["configMapGenerator"]:
        (file,) = made["files"]
        taken.add(REPOSITORY / "infra/grafana" / file)
        assert made["options"]["labels"] == {"grafana_dashboard": "1"}
    assert taken == set(DASHBOARDS.iterdir())
    for dashboard in taken:
        assert dashboard.stat().st_size < 250_000, "kubectl apply keeps a copy in an annotation of at most 256 KiB"


def test_a_prometheus_without_the_operator_follows_the_annotations_of_the_pods(tmp_path):
    """Debian's Prometheus knows no Kubernetes: all but the discovery itself is checked, as docs/deploy.md says."""
    configuration = yaml.safe_load(CONFIGURATION.read_text())
    (job,) = configuration["scrape_configs"]
    (discovery,) = job.pop("kubernetes_sd_configs")
    assert discovery["role"] == "pod"
    configuration["rule_files"] = [str(PROMETHEUS / "rules/*.yml")]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    promtool("check", "config", tmp_path / "prometheus.yml")
    followed = {label for relabel in job["relabel_configs"] for label in relabel["source_labels"]}
    for annotations in (coordinator_annotations(), worker_annotations()):
        for annotation in annotations:
            assert f"__meta_kubernetes_pod_annotation_{re.sub(r'[./]', '_', annotation)}" in followed


def coordinator_annotations() -> dict[str, str]:
    (patch,) = ANNOTATIONS["patches"]
    annotations: dict[str, str] = yaml.safe_load(patch["patch"])["spec"]["template"]["metadata"]["annotations"]
    return annotations


def worker_annotations() -> dict[str, str]:
    (made,) = ANNOTATIONS["configMapGenerator"]
    (literal,) = made["literals"]
    variable, _, value = literal.partition("=")
    assert (made["name"], variable) == ("apollo-settings", "APOLLO_WORKER_ANNOTATIONS")
    return dict(entry.split("=") for entry in value.split(","))


def test_the_annotations_lead_to_the_metrics_of_both_services():
    for annotations, port in (
        (coordinator_annotations(), DEFAULT_PORT),
        (worker_annotations(), WorkerSettings.load({}).metrics_port),
    ):
        expected = {"scrape": "true", "port": str(port), "path": "/metrics"}
        assert annotations == {f"prometheus.io/{name}": value for name, value in expected.items()}


def test_a_component_brings_the_annotations_and_the_overlay_for_one_node_alone_has_it():
    """A Prometheus of the operator, which production clusters have, would take everything twice."""
    assert {file for file in KUSTOMIZE.rglob("*.yaml") if "prometheus.io/" in file.read_text()} == {SCRAPED}
    components = {file.parent.name: yaml.safe_load(file.read_text())["components"] for file in OVERLAYS}
    having = {name for name, each in components.items() if "../../components/scrape-annotations" in each}
    assert having == {"dev"}


def test_the_page_that_tells_of_monitoring_is_where_the_others_say():
    assert "monitoring" in anchors(REPOSITORY / "docs/deploy.md")
    assert "watch-it" in anchors()
