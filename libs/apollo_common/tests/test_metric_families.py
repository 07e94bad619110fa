"""Families that are declared before they are counted: bounded labels, series from the start, gauges at a scrape."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from apollo_common.lifecycle import TaskOwner
from apollo_common.metrics import disks
from apollo_common.metrics.disks import DiskMetrics
from apollo_common.metrics.exposition import render_metrics
from apollo_common.metrics.families import Label, ReadAtScrape, counter, gauge, histogram
from apollo_common.metrics.process import ProcessMetrics

COLOUR = Label(("red", "blue"))
REASON = Label(("denied",), at_once=False)


@pytest.fixture
def registry():
    return CollectorRegistry()


def samples(registry):
    text = render_metrics(registry).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_series_with_known_labels_are_there_from_the_start(registry):
    counter("apples_total", "Apples.", {"colour": COLOUR}).on(registry)
    assert samples(registry) == {("apples_total", "red"): 0, ("apples_total", "blue"): 0}


def test_series_of_the_named_values_alone_are_there_from_the_start(registry):
    result = Label(("ok", "denied", "away"), at_once=("ok", "away"))
    counter("calls_total", "Calls.", {"colour": COLOUR, "result": result}).on(registry).of("red", "denied").inc()
    assert samples(registry) == {
        **{("calls_total", colour, result): 0 for colour in ("red", "blue") for result in ("ok", "away")},
        ("calls_total", "red", "denied"): 1,
    }


def test_what_is_not_listed_has_a_series_from_the_start_where_it_may_come(registry):
    counter("calls_total", "Calls.", {"result": Label(("ok",), more=True)}).on(registry)
    assert samples(registry) == {("calls_total", "ok"): 0, ("calls_total", "other"): 0}


def test_series_that_come_as_they_come_are_not(registry):
    refusals = counter("refusals_total", "Refusals.", {"colour": COLOUR, "reason": REASON}).on(registry)
    assert samples(registry) == {}
    refusals.of("red", "denied").inc()
    assert samples(registry) == {("refusals_total", "red", "denied"): 1}


def test_whatever_a_peer_sends_makes_one_series(registry):
    refusals = counter("refusals_total", "Refusals.", {"reason": REASON}).on(registry)
    for number in range(1000):
        refusals.of(f"k3v9d2m7q4-{number}").inc()
    assert samples(registry) == {("refusals_total", "other"): 1000}


def test_a_family_without_labels_is_one_series(registry):
    histogram("seconds", "Seconds.", buckets=(1, 2)).on(registry).of().observe(1.5)
    assert samples(registry)["seconds_bucket", "2.0"] == 1
    assert samples(registry)["seconds_count",] == 1
    assert not any("created" in name for name, *_ in samples(registry))


def test_a_gauge_is_read_when_it_is_asked_for(registry):
    now = {("red",): 1.0}
    family = gauge("apples", "Apples.", {"colour": COLOUR})
    ReadAtScrape([family], lambda: [(family, now)]).on(registry)
    assert samples(registry) == {("apples", "red"): 1}
    now["blue",] = 2
    assert samples(registry) == {("apples", "red"): 1, ("apples", "blue"): 2}


def test_two_families_of_one_name_are_refused(registry):
    gauge("apples", "Apples.").on(registry)
    with pytest.raises(ValueError, match="apples"):
        ReadAtScrape([gauge("apples", "More apples.")], list).on(registry)


async def test_a_volume_is_served_once_it_answers_and_no_more_when_it_does_not(registry, tmp_path, monkeypatch):
    monkeypatch.setattr(disks, "SAMPLE_EVERY_SECONDS", 0.001)
    place = tmp_path / "volume"
    async with TaskOwner() as tasks:
        DiskMetrics(registry, tasks).watch_volume("data", place)
        await asyncio.sleep(0.01)
        assert samples(registry) == {}
        place.mkdir()
        while not samples(registry):
            await asyncio.sleep(0.001)
        found = samples(registry)
        assert 0 < found["apollo_volume_free_bytes", "data"] <= found["apollo_volume_size_bytes", "data"]
        place.rmdir()
        while samples(registry):
            await asyncio.sleep(0.001)


async def test_the_lag_of_the_event_loop_is_measured(registry):
    process = ProcessMetrics(registry, service="worker", version="1.2.3")
    async with TaskOwner() as tasks:
        tasks.spawn(process.measure_until_cancelled(), name="lag")
        while not samples(registry)["apollo_event_loop_lag_seconds_count",]:
            await asyncio.sleep(0.01)
    assert samples(registry)["process_start_time_seconds",] > 0
    assert any(name == "apollo_build_info" and "1.2.3" in labels for name, *labels in samples(registry))
