"""What the services serve as promtool judges it: names, units, suffixes, help."""

import pytest
from prometheus_client import CollectorRegistry

from apollo_common.metrics.exposition import render_metrics
from apollo_coordinator.metrics import table as coordinator
from apollo_worker import metrics as worker
from support.prometheus import promtool

SERVED = {
    "coordinator": (*coordinator.FAMILIES, *coordinator.SHARED),
    "worker": (*worker.FAMILIES, *worker.SHARED),
}


@pytest.mark.parametrize("service", SERVED)
def test_promtool_has_nothing_to_say(service):
    registry = CollectorRegistry()
    for family in SERVED[service]:
        series = family.on(registry)
        series.of(*(label.values[0] if label.values else "some value" for label in family.labels.values()))
    assert promtool("check", "metrics", given=render_metrics(registry).decode()) == ""


def test_what_both_serve_has_one_meaning():
    assert coordinator.SHARED == worker.SHARED
    assert not {family.name for family in coordinator.FAMILIES} & {family.name for family in worker.FAMILIES}
