"""Prints the rule files as one object of the Prometheus operator; ./dev gen keeps it in the component `alerts`."""

import sys
from pathlib import Path

import yaml

RULES = Path(__file__).parent / "rules"
HEAD = "# Generated from infra/prometheus/rules: ./dev gen.\n"


def prometheus_rule() -> str:
    groups = [group for file in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(file.read_text())["groups"]]
    made = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "apollo"},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.safe_dump(made, sort_keys=False, width=120)


if __name__ == "__main__":
    sys.stdout.write(prometheus_rule())
