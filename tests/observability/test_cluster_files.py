"""What a cluster's Prometheus and Grafana are given is what the plain files say. Needs no kubectl."""

import re
import subprocess
import sys

import yaml

from observability.sources import DASHBOARDS, PROMETHEUS, anchors
from support.apollo_cli import REPOSITORY
from support.prometheus import promtool

COMPONENTS = REPOSITORY / "infra/kustomize/components"
CONFIGURATION = PROMETHEUS / "kubernetes.yml"
BASE = REPOSITORY / "infra/kustomize/base"


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
    for manifest in ("coordinator.yaml", "worker-pod.yaml"):
        annotations = re.findall(r"^ +(prometheus\.io/\w+):", (BASE / manifest).read_text(), re.MULTILINE)
        assert len(annotations) == 3
        for annotation in annotations:
            assert f"__meta_kubernetes_pod_annotation_{re.sub(r'[./]', '_', annotation)}" in followed


def test_the_page_that_tells_of_monitoring_is_where_the_others_say():
    assert "monitoring" in anchors(REPOSITORY / "docs/deploy.md")
    assert "watch-it" in anchors()
