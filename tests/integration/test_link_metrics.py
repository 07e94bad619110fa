"""What the metrics tell of the traffic with a real worker process: calls, streams, and streams that break."""

import pytest
from prometheus_client import CollectorRegistry

from apollo_common.errors import WorkerBusy, WorkerUnreachable
from apollo_coordinator.metrics.links import LinkMetrics
from apollo_coordinator.pools.local_worker import WorkerState
from apollo_coordinator.ports import WorkerUp
from apollo_coordinator.rpc.link import GrpcWorkerLink
from support.orders import map_order
from support.pools import QUICK_LINK, process_pool, read_state, running
from support.proxy import CuttingProxy


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return LinkMetrics(registry)


@pytest.fixture
async def worker(tmp_path):
    async with running(process_pool(tmp_path)) as heard:
        (up,) = await heard.until(WorkerUp)
        yield read_state(tmp_path, up.worker)


def observed_link(address: str, worker: WorkerState, metrics: LinkMetrics) -> GrpcWorkerLink:
    return GrpcWorkerLink(address, worker.token, QUICK_LINK, observer=metrics)


def streams(registry) -> tuple[float, float]:
    return tuple(registry.get_sample_value("apollo_grpc_streams", {"state": state}) for state in ("opening", "open"))


async def test_a_stream_is_open_once_it_has_spoken_and_until_its_end(worker, metrics, registry):
    link = observed_link(worker.address, worker, metrics)
    reports = link.run(map_order("steps:2"))
    assert streams(registry) == (0, 0)
    await anext(reports)
    assert streams(registry) == (0, 1)
    async for _ in reports:
        pass
    assert streams(registry) == (0, 0)
    assert registry.get_sample_value("apollo_grpc_stream_breaks_total") == 0
    await link.close()


async def test_a_stream_that_is_given_up_is_no_more(worker, metrics, registry):
    link = observed_link(worker.address, worker, metrics)
    reports = link.run(map_order("hang"))
    await anext(reports)
    await reports.aclose()
    assert streams(registry) == (0, 0)
    await link.close()


async def test_a_refusal_is_no_break(worker, metrics, registry):
    link = observed_link(worker.address, worker, metrics)
    reports = link.run(map_order("hang"))
    await anext(reports)
    with pytest.raises(WorkerBusy):
        await anext(link.run(map_order("steps:1", job="other")))
    assert registry.get_sample_value("apollo_grpc_stream_breaks_total") == 0
    await reports.aclose()
    await link.close()


async def test_each_break_is_counted(worker, metrics, registry):
    async with CuttingProxy(worker.address, cut_after_bytes=700, cuts=3) as proxy:
        link = observed_link(proxy.address, worker, metrics)
        async for _ in link.run(map_order("steps:30")):
            pass
        await link.close()
    assert registry.get_sample_value("apollo_grpc_stream_breaks_total") >= 3
    assert streams(registry) == (0, 0)


async def test_calls_are_counted_by_method_and_result(worker, metrics, registry):
    link = observed_link(worker.address, worker, metrics)
    await link.describe()
    await link.close()
    with pytest.raises(WorkerUnreachable):
        await link.describe()
    for result in ("ok", "worker_unreachable"):
        labels = {"method": "describe", "result": result}
        assert registry.get_sample_value("apollo_grpc_calls_total", labels) == 1
    durations = registry.get_sample_value("apollo_grpc_call_duration_seconds_count", {"method": "describe"})
    assert durations == 2
