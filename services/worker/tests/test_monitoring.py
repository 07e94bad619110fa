"""Metrics and probes of a worker, as a scraper and a kubelet see them."""

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from apollo_common.metrics import bounded_label
from apollo_common.probes import ProbeServer
from apollo_worker.metrics import WorkerMetrics


@pytest.fixture
async def metrics():
    return WorkerMetrics()


@pytest.fixture
async def base_url(metrics):
    ready = {"now": True}
    probes = ProbeServer(metrics.registry, ready=lambda: ready["now"])
    yield f"http://127.0.0.1:{await probes.start('127.0.0.1', 0)}", ready
    await probes.close()


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_attempts_are_counted_by_kind_and_outcome(metrics, base_url):
    metrics.attempt_started()
    metrics.attempt_ended("map", "succeeded", 1.5, {"apollo": {"input_records": 7}, "mine": {"x": 1}})
    metrics.attempt_ended("reduce", "failed", 0.1, {})
    metrics.attempt_ended("dance", "exploded", 0.1, {})
    status, text = await get(base_url[0] + "/metrics")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert status == 200
    assert samples["apollo_worker_attempts_total", "map", "succeeded"] == 1
    assert samples["apollo_worker_attempts_total", "reduce", "failed"] == 1
    assert samples["apollo_worker_attempts_total", "other", "other"] == 1
    assert samples["apollo_worker_attempt_duration_seconds_sum", "map"] == 1.5
    assert samples["apollo_worker_processed_total", "input_records"] == 7
    assert samples["apollo_worker_busy",] == 0
    assert samples["apollo_worker_peak_memory_bytes",] > 1 << 20


async def test_probes_say_alive_and_ready(base_url):
    url, ready = base_url
    assert await get(url + "/healthz") == (200, "ok\n")
    assert (await get(url + "/readyz"))[0] == 200
    ready["now"] = False
    assert (await get(url + "/readyz"))[0] == 503


def test_a_label_has_no_values_but_the_allowed():
    assert bounded_label("map", ("map", "reduce")) == "map"
    assert bounded_label("k3v9d2m7q4xa", ("map", "reduce")) == "other"
