"""The derivation that dashboards are held against, on expressions whose unit a reader sees."""

import pytest

from observability.units import BYTES, ITEMS, SECONDS, SHARE, UnitMismatch, measure

RECORDED = {
    "apollo:in:rate5m": "sum(rate(in_bytes_total[5m]))",
    "apollo:wait:bucket5m": "sum by (le) (rate(w_seconds_bucket[5m]))",
}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("in_bytes", BYTES),
        ("sum by (kind) (rate(in_bytes_total[5m]))", BYTES / SECONDS),
        ("increase(jobs_total[1h])", ITEMS),
        ("rate(jobs_total[1h])", ITEMS / SECONDS),
        ("apollo:in:rate5m", BYTES / SECONDS),
        ("histogram_quantile(0.9, sum by (le) (rate(w_seconds_bucket[5m])))", SECONDS),
        ("histogram_quantile(0.9, apollo:wait:bucket5m)", SECONDS),
        ("rate(w_seconds_sum[5m]) / rate(w_seconds_count[5m])", SECONDS / ITEMS),
        ("rate(cpu_seconds_total[5m])", SHARE),
        ("1 - free_bytes / size_bytes", SHARE),
        ("time() - seen_timestamp_seconds", SECONDS),
        ("(a_total > 3) * 100", ITEMS),
        ("sum(x_bytes) or vector(0)", BYTES),
        ("count(x_bytes)", ITEMS),
        ("max_over_time(x_seconds[1h:1m])", SECONDS),
        ("up and on () x_bytes > 1", ITEMS),
        ("clamp_min(x_bytes, 1)", BYTES),
    ],
)
def test_the_measure_of_an_expression(expression, expected):
    assert measure(expression, RECORDED) == expected


@pytest.mark.parametrize(
    "expression", ["a_bytes + b_seconds", "a_bytes > b_total", "rate(a_bytes_total[1m]) - a_bytes"]
)
def test_different_measures_are_not_compared(expression):
    with pytest.raises(UnitMismatch):
        measure(expression, RECORDED)


def test_a_rate_is_of_a_counter():
    with pytest.raises(UnitMismatch, match="rate of a_bytes, which is no counter"):
        measure("sum(rate(a_bytes[5m]))", RECORDED)


def test_a_number_measures_nothing():
    with pytest.raises(ValueError, match="a number measures nothing"):
        measure("1 + 1", RECORDED)
