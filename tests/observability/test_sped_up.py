"""What the alerts' test changes of the rules, and that it changes nothing else."""

import pytest
import yaml

from observability.sources import PROMETHEUS
from observability.sped_up import faster, sped_up


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(a_total[5m]) > 0.5", "rate(a_total[5s]) > 0.5"),
        ("max by (x) (a_age_seconds) > 900", "max by (x) (a_age_seconds) > 15"),
        ("a_seconds:p99_rate5m > 1", "a_seconds:p99_rate5m > 1"),
        ("increase(a_total[1h])", "increase(a_total[60s])"),
        ("max_over_time(up[1d])", "max_over_time(up[1440s])"),
        ("avg_over_time((sum(a))[15m:])", "avg_over_time((sum(a))[15s:])"),
    ],
)
def test_times_are_divided_and_values_are_not(expression, expected):
    assert faster(expression, 60) == expected


@pytest.mark.parametrize("name", ["alerts", "recording"])
def test_names_labels_and_annotations_stay(name):
    def told(rules: str) -> list:
        groups = yaml.safe_load(rules)["groups"]
        return [
            {key: rule[key] for key in rule if key not in ("expr", "for")}
            for group in groups
            for rule in group["rules"]
        ]

    text = (PROMETHEUS / f"rules/{name}.yml").read_text()
    assert told(sped_up(text, 60)) == told(text)
