"""Metrics and probes of a worker, as a scraper and a kubelet see them."""

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from apollo_common.lifecycle import TaskOwner
from apollo_common.probes import ProbeServer
from apollo_common.timings import Step
from apollo_proto.apollo.v1 import TaskAssignment, TaskKind
from apollo_worker.cache import ArtifactCache
from apollo_worker.core.budget import MIN_BUDGET_BYTES, MemoryLimit
from apollo_worker.events import EventLog
from apollo_worker.metrics import ATTEMPTS, SECONDS, Watched, WorkerMetrics
from apollo_worker.pipeline import ShuffleSink
from apollo_worker.reporting import AttemptReporter
from apollo_worker.rpc.service import WorkerService
from apollo_worker.shuffle.map_output import MapOutputWriter
from apollo_worker.shuffle.partition import parse_partitioner
from apollo_worker.slot import AttemptSlot
from apollo_worker.steps import StepClock
from support.shuffling import batches

COUNTS_OF_ATTEMPTS = ("apollo_worker_attempts_total", "apollo_worker_attempt_duration_seconds_count")


class Idle:
    async def close(self) -> None:
        pass


@pytest.fixture
async def metrics():
    return WorkerMetrics()


@pytest.fixture
async def slot(metrics):
    slot = AttemptSlot(Idle(), metrics)
    yield slot
    await slot.close()


@pytest.fixture
async def base_url(metrics, slot, tmp_path):
    ready = {"now": True}
    cache = ArtifactCache(tmp_path / "artifacts", 1 << 20)
    service = WorkerService("w", slot, cache, MemoryLimit(1 << 30, of_cgroup=False), "none")
    async with TaskOwner() as tasks:
        metrics.watch(tasks, Watched(slot, service, cache, 1 << 30), {})
        probes = ProbeServer(metrics.registry, ready=lambda: ready["now"])
        yield f"http://127.0.0.1:{await probes.start('127.0.0.1', 0)}", ready
        await probes.close()


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def samples(url: str) -> dict[tuple[str, ...], float]:
    """By name and label values, in the order of the labels' names."""
    status, text = await get(url + "/metrics")
    assert status == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_attempts_are_counted_by_phase_and_outcome(metrics, base_url):
    metrics.attempt_ended("map", "succeeded", 1.5)
    metrics.attempt_ended("reduce", "failed", 0.1)
    metrics.attempt_ended("dance", "exploded", 0.1)
    found = await samples(base_url[0])
    assert found["apollo_worker_attempts_total", "succeeded", "map"] == 1
    assert found["apollo_worker_attempts_total", "failed", "map"] == 0
    assert found["apollo_worker_attempts_total", "failed", "reduce"] == 1
    assert found["apollo_worker_attempts_total", "other", "other"] == 1
    assert found["apollo_worker_attempt_duration_seconds_sum", "map"] == 1.5


async def test_an_attempt_of_a_kind_that_this_version_does_not_know_counts_under_a_declared_phase(metrics, base_url):
    slot = AttemptSlot(Idle(), metrics)
    slot.start(TaskAssignment(attempt_id="j-x-00000-0", kind=TaskKind.UNSPECIFIED))
    await slot.close()
    counted = {key for key, value in (await samples(base_url[0])).items() if value and key[0] in COUNTS_OF_ATTEMPTS}
    assert counted == {
        ("apollo_worker_attempts_total", "cancelled", "other"),
        ("apollo_worker_attempt_duration_seconds_count", "other"),
    }
    for family in (ATTEMPTS, SECONDS):
        assert family.labels["phase"].more, "docs/metrics.md tells of it"
        assert "other" not in family.labels["phase"].first, "a board would show a phase that nobody has"


async def test_the_work_of_a_running_attempt_is_counted_as_it_happens(metrics, base_url):
    reporter = AttemptReporter(EventLog(TaskAssignment(attempt_id="j-m-00000-0")), observer=metrics)
    reporter.add("input_records", 7)
    reporter.spilled(runs=2, records=5)
    reporter.fetched(map_output_bytes=11)
    reporter.counter("mine", "x", 1)
    found = await samples(base_url[0])
    assert found["apollo_worker_input_records_total",] == 7
    assert found["apollo_worker_spills_total",] == 2
    assert found["apollo_worker_spilled_records_total",] == 5
    assert found["apollo_worker_shuffle_read_bytes_total",] == 11
    assert not any("mine" in name for name, *_ in found)


async def test_spills_are_counted_while_the_map_runs(metrics, base_url, tmp_path):
    reporter = AttemptReporter(EventLog(TaskAssignment(attempt_id="j-m-00000-0")), observer=metrics)
    writer = MapOutputWriter(tmp_path / "output", 1, parse_partitioner("hash"), MIN_BUDGET_BYTES)
    sink = ShuffleSink(writer, reporter)
    for batch in batches([(b"%d" % number, b"v" * 100) for number in range(5_000)], 500):
        await sink.pairs(batch)
    found = await samples(base_url[0])
    assert found["apollo_worker_map_output_records_total",] == 5_000
    assert found["apollo_worker_spills_total",] >= 1
    assert 0 < found["apollo_worker_spilled_records_total",] < 5_000
    sink.tell((await writer.finish()).spilled)
    assert (await samples(base_url[0]))["apollo_worker_spilled_records_total",] == 5_000


async def test_what_holds_a_running_attempt_up_is_counted_once(metrics, base_url):
    now = iter([0.0, 1.5, 1.5, 10.0])
    clock = StepClock(lambda: next(now))
    events = EventLog(TaskAssignment(attempt_id="j-r-00000-0"))
    reporter = AttemptReporter(events, observer=metrics, phase="reduce", clock=clock)
    clock.begin(Step.MERGE)
    told = [reporter.timings() for _ in range(2)]
    assert [(each.program_ms, each.merge_ms) for each in told] == [(1500, 0), (1500, 8500)]
    found = await samples(base_url[0])
    assert found["apollo_worker_attempt_step_seconds_total", "reduce", "program"] == 1.5
    assert found["apollo_worker_attempt_step_seconds_total", "reduce", "merge"] == 8.5
    assert found["apollo_worker_attempt_step_seconds_total", "map", "merge"] == 0


async def test_what_the_worker_does_now_is_read_at_each_scrape(slot, base_url):
    before = await samples(base_url[0])
    await slot.drain(0)
    after = await samples(base_url[0])
    assert (before["apollo_worker_draining",], after["apollo_worker_draining",]) == (0, 1)
    assert after["apollo_worker_busy",] == 0
    assert after["apollo_worker_memory_limit_bytes",] == 1 << 30
    assert after["apollo_worker_peak_memory_bytes",] > 1 << 20


async def test_probes_say_alive_and_ready(base_url):
    url, ready = base_url
    assert await get(url + "/healthz") == (200, "ok\n")
    assert (await get(url + "/readyz"))[0] == 200
    ready["now"] = False
    assert (await get(url + "/readyz"))[0] == 503
