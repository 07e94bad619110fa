"""How what Prometheus tells of alerts is judged."""

import pytest

from observability.watched import GAP_SECONDS, Firing, Injected, spans

FAULT = Injected("ApolloJobsFailing", began=100.0, over=120.0, beside=frozenset({"ApolloEventLoopLag"}))


@pytest.mark.parametrize(
    ("firing", "explained"),
    [
        (Firing("ApolloJobsFailing", began=110.0, ended=200.0), True),
        (Firing("ApolloJobsFailing", began=99.0, ended=200.0), False),
        (Firing("ApolloJobsFailing", began=121.0, ended=200.0), False),
        (Firing("ApolloEventLoopLag", began=110.0, ended=200.0), True),
        (Firing("ApolloEventLoopLag", began=121.0, ended=200.0), False),
        (Firing("ApolloNoProgress", began=110.0, ended=200.0), False),
    ],
)
def test_a_fault_explains_its_alerts_while_it_is_there(firing, explained):
    assert FAULT.explains(firing) == explained


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([5.0], [(5.0, 5.0)]),
        ([1.0, 2.0, 2.0 + GAP_SECONDS], [(1.0, 2.0 + GAP_SECONDS)]),
        ([1.0, 2.0, 3.0 + GAP_SECONDS, 4.0 + GAP_SECONDS], [(1.0, 2.0), (3.0 + GAP_SECONDS, 4.0 + GAP_SECONDS)]),
    ],
)
def test_an_alert_that_is_silent_for_a_while_has_begun_anew(times, expected):
    assert list(spans(times)) == expected
