"""Dashboards, rules and the runbook as their files say: what the tests hold against each other."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.apollo_cli import REPOSITORY

DASHBOARDS = REPOSITORY / "infra/grafana/dashboards"
PROMETHEUS = REPOSITORY / "infra/prometheus"
RUNBOOK = REPOSITORY / "docs/operate.md"
RATE_INTERVAL = "$__rate_interval"

Document = dict[str, Any]


@dataclass(frozen=True)
class Expression:
    where: str
    text: str  # as the file has it
    unit: str = ""  # Grafana's; rules have none

    def over(self, window: str) -> str:
        """What Grafana would ask: with all namespaces chosen, and rates over `window`, such as 1m."""
        return self.text.replace(RATE_INTERVAL, window).replace("$namespace", ".*")


def dashboards() -> dict[str, Document]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard: Document) -> list[Document]:
    """Without the headings of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def dashboard_expressions() -> Iterator[Expression]:
    for dashboard in dashboards().values():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                where = " / ".join(filter(None, (dashboard["title"], panel["title"], target.get("legendFormat"))))
                yield Expression(where, target["expr"], panel["fieldConfig"]["defaults"]["unit"])


def rules(name: str) -> list[Document]:
    """Of rules/NAME.yml."""
    groups = yaml.safe_load((PROMETHEUS / f"rules/{name}.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def recorded() -> dict[str, str]:
    """Recording rules: name -> expression."""
    return {rule["record"]: rule["expr"] for rule in rules("recording")}


def alerts() -> dict[str, Document]:
    return {rule["alert"]: rule for rule in rules("alerts")}


def anchors(page: Path = RUNBOOK) -> set[str]:
    """Of a page's headings, as GitHub makes them: lower case, hyphens for spaces, no other marks."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
