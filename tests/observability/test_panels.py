"""What some panels say of series made for them, as promtool evaluates it."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from observability.sources import PROMETHEUS, dashboard_expressions
from support.prometheus import promtool

COORDINATOR = 'job="apollo-coordinator"'
UP_IN_BOTH = {
    f'up{{{COORDINATOR}, namespace="a"}}': "1x20",
    f'apollo_ready{{{COORDINATOR}, namespace="a"}}': "1x20",
    f'up{{{COORDINATOR}, namespace="b"}}': "1x20",
    f'apollo_ready{{{COORDINATOR}, namespace="b"}}': "1x20",
}


def says(where: str, series: Mapping[str, str], expected: Mapping[str, float], path: Path) -> None:
    """`series`: minute by minute, as promtool writes them. `expected`: by labels, at 15 minutes."""
    (asked,) = [expression for expression in dashboard_expressions() if expression.where == where]
    samples = [{"labels": labels, "value": value} for labels, value in expected.items()]
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": asked.over("5m"), "eval_time": "15m", "exp_samples": samples}],
    }
    file = path / "test.yml"
    rules = [str(PROMETHEUS / "rules/recording.yml")]
    file.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": [case]}))
    promtool("test", "rules", file)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, 1),
        ({f'apollo_ready{{{COORDINATOR}, namespace="b"}}': "1x5 0x15"}, 0),
        (
            {
                f'up{{{COORDINATOR}, namespace="b"}}': "1x5 stale",
                f'apollo_ready{{{COORDINATOR}, namespace="b"}}': "1x5 stale",
            },
            0,
        ),
    ],
    ids=["both do", "one is full", "one has no pod"],
)
def test_of_several_coordinators_all_have_to_take_jobs(changed, expected, tmp_path):
    says("Apollo / Overview / Takes jobs", UP_IN_BOTH | changed, {"{}": expected}, tmp_path)


def test_without_a_coordinator_no_jobs_are_taken(tmp_path):
    says("Apollo / Overview / Takes jobs", {'up{job="other"}': "1x20"}, {"{}": 0}, tmp_path)


def test_the_slowest_worker_is_none_that_has_nothing_to_read(tmp_path):
    series = {
        'apollo_worker_busy{instance="idle"}': "0x20",
        'apollo_worker_input_bytes_total{instance="idle"}': "0+60x5 300x15",
        'apollo_worker_busy{instance="reduces"}': "1x20",
        'apollo_worker_input_bytes_total{instance="reduces"}': "60x20",
        'apollo_worker_busy{instance="maps"}': "1x20",
        'apollo_worker_input_bytes_total{instance="maps"}': "0+600x20",
    }
    where = "Apollo / Workers / Input of the fastest and the slowest / slowest: {{instance}}"
    says(where, series, {'{instance="maps"}': 10}, tmp_path)


def test_what_holds_attempts_up_is_a_share_of_their_phase(tmp_path):
    series = {
        'apollo_attempt_step_seconds_total{phase="map", step="program"}': "0+45x20",
        'apollo_attempt_step_seconds_total{phase="map", step="sort"}': "0+15x20",
        'apollo_attempt_step_seconds_total{phase="map", step="merge"}': "0x20",
        'apollo_attempt_step_seconds_total{phase="reduce", step="merge"}': "0x20",
    }
    where = "Apollo / Job flow / What holds attempts up / {{phase}} {{step}}"
    expected = {'{phase="map", step="program"}': 0.75, '{phase="map", step="sort"}': 0.25}
    says(where, series, expected, tmp_path)


def test_a_share_of_nothing_is_no_number(tmp_path):
    series = {f'apollo_jobs_ended_total{{status="{status}"}}': "0x20" for status in ("failed", "succeeded")}
    says("Apollo / Overview / Jobs that fail", series, {}, tmp_path)


def test_the_share_of_jobs_that_fail_is_one(tmp_path):
    series = {f'apollo_jobs_ended_total{{status="{status}"}}': "0x5 3x15" for status in ("failed", "succeeded")}
    says("Apollo / Overview / Jobs that fail", series, {"{}": 0.5}, tmp_path)
