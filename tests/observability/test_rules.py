"""The rules as promtool judges them, and what an alert has to have."""

import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from apollo_coordinator.settings import DEFAULT_PORT
from apollo_worker.settings import WorkerSettings
from observability.sources import PROMETHEUS, RUNBOOK, alerts, anchors, dashboard_expressions, recorded, rules
from observability.units import SHARE, measure, metrics, selectors
from support.apollo_cli import REPOSITORY
from support.prometheus import promtool

CONFIGURATION = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
UNIT_TESTS = PROMETHEUS / "tests/alerts.yml"
JOBS = {"apollo-coordinator", "apollo-worker"}


def test_promtool_accepts_configuration_and_rules():
    promtool("check", "config", PROMETHEUS / "prometheus.yml")  # and the rules that it names
    said = promtool("check", "rules", *sorted((PROMETHEUS / "rules").iterdir()))
    assert {int(number) for number in re.findall(r"SUCCESS: (\d+) rules found", said)} == {
        len(alerts()),
        len(recorded()),
    }


def test_alerts_fire_and_stay_quiet_on_series_made_for_them():
    promtool("test", "rules", UNIT_TESTS)


@pytest.mark.parametrize("name", alerts())
def test_both_are_tried_for_every_alert(name):
    fires, quiet = set(), set()
    for case in yaml.safe_load(UNIT_TESTS.read_text())["tests"]:
        if case["name"].partition(",")[0] == name:
            for asked in (*case.get("alert_rule_test", ()), *case.get("promql_expr_test", ())):
                expected = asked.get("exp_alerts", asked.get("exp_samples"))
                (fires if expected else quiet).add(case["name"])
    assert fires
    assert quiet


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_what_is_wrong_and_what_to_do(name):
    alert = alerts()[name]
    assert name.startswith("Apollo")
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert re.fullmatch(r"\d+m", alert["for"])
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert page.endswith(f"/{RUNBOOK.name}")
    assert anchor in anchors()
    entry = RUNBOOK.read_text().partition("## What the alerts mean")[2].partition("\n## ")[0]
    assert f"`{name}`" in entry


@pytest.mark.parametrize("name", recorded())
def test_a_recording_rule_is_named_for_what_it_measures_and_used(name):
    """level:metric:operations, https://prometheus.io/docs/practices/rules."""
    level, _, operations = name.split(":")
    expression = recorded()[name]
    assert (measure(expression, recorded()) == SHARE) == operations.startswith("ratio")
    kept = re.search(r"by \(([^)]+)\)", expression)
    assert kept
    assert level.split("_") == [label for label in kept[1].split(", ") if label != "le"]
    asked = [rule["expr"] for rule in alerts().values()] + [each.over("5m") for each in dashboard_expressions()]
    assert any(name in metrics(expression) for expression in asked)


def test_alerts_compare_like_with_like():
    for rule in rules("alerts"):
        for condition in conditions(promql_parser.parse(rule["expr"])):
            measure(condition.prettify(), recorded())


def conditions(expression: promql_parser.Expr) -> Iterator[promql_parser.Expr]:
    """What `and` and `or` connect."""
    if isinstance(expression, promql_parser.BinaryExpr) and str(expression.op) in ("and", "or"):
        yield from conditions(expression.lhs)
        yield from conditions(expression.rhs)
    else:
        yield expression


def test_prometheus_finds_the_services_of_docker_compose():
    scraped: dict[str, Any] = {each["job_name"]: each for each in CONFIGURATION["scrape_configs"]}
    assert scraped.keys() == JOBS
    assert scraped["apollo-coordinator"]["static_configs"] == [{"targets": [f"coordinator:{DEFAULT_PORT}"]}]
    (workers,) = scraped["apollo-worker"]["dns_sd_configs"]
    assert (workers["names"], workers["port"]) == (["worker"], WorkerSettings.load({}).metrics_port)


def test_rules_and_dashboards_speak_of_jobs_that_are_scraped():
    asked = [rule["expr"] for rule in (*rules("alerts"), *rules("recording"))]
    asked += [each.over("5m") for each in dashboard_expressions()]
    named = {
        matcher.value
        for expression in asked
        for selector in selectors(promql_parser.parse(expression))
        for matcher in selector.matchers.matchers
        if matcher.name == "job"
    }
    assert named == JOBS


def test_grafana_finds_dashboards_and_prometheus():
    provisioning = REPOSITORY / "infra/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == CONFIGURATION["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/apollo.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
