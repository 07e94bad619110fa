"""The static pool against gRPC servers that come, go and come back."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apollo_common.errors import InvalidSetting
from apollo_common.grpc import GrpcServer
from apollo_coordinator.pools.static import StaticPool, StaticPoolSettings
from apollo_coordinator.pools.supervision import Connect
from apollo_coordinator.ports import PoolTrouble, WorkerDraining, WorkerGone, WorkerUp
from apollo_proto.apollo.v1 import DescribeRequest, DescribeResponse, WorkerBase
from support.coordinator_process import wait_for
from support.pools import QUICK_SUPERVISION, Heard, connect, running
from support.services import Services


class Worker(WorkerBase):
    def __init__(self, worker_id: str, *, draining: bool = False, attempt: str = "") -> None:
        self.description = DescribeResponse(worker_id=worker_id, draining=draining, attempt_id=attempt)

    async def describe(self, message: DescribeRequest) -> DescribeResponse:
        return self.description


@asynccontextmanager
async def serving(worker_id: str, *, port: int = 0, token: str = "", **state: Any) -> AsyncIterator[int]:
    """A worker that can do nothing but say who it is and how it is; the port it listens on."""
    server = GrpcServer([Worker(worker_id, **state)], token=token)
    try:
        yield await server.listen_on("127.0.0.1", port)
    finally:
        await server.stop(0)


def static_pool(*addresses: str, token: str = "", connector: Connect = connect) -> StaticPool:
    supervision = replace(QUICK_SUPERVISION, silence_seconds=0.5)
    settings = StaticPoolSettings(addresses, token, resolve_every_seconds=0.1, supervision=supervision)
    return StaticPool(settings, connector)


async def test_a_host_name_stands_for_its_addresses():
    async with serving("w") as port, running(static_pool(f"localhost:{port}")) as heard:
        (up,) = await heard.until(WorkerUp)
        assert (up.worker, up.address) == ("w", f"127.0.0.1:{port}")


async def test_the_shared_token_is_shown():
    async with serving("w", token="right") as port:
        async with running(static_pool(f"127.0.0.1:{port}", token="right")) as heard:
            await heard.until(WorkerUp)
        async with running(static_pool(f"127.0.0.1:{port}", token="wrong")) as heard:
            (trouble,) = await heard.until(PoolTrouble)
            assert "UNAUTHENTICATED" in trouble.message
            assert "wrong" not in trouble.message.replace("missing or wrong", "")


async def test_a_worker_that_comes_back_has_another_name():
    async with serving("w") as port:
        pool = static_pool(f"127.0.0.1:{port}")
        async with running(pool) as heard:
            await heard.until(WorkerUp)
            await pool.release((await heard.until(WorkerUp))[0].worker)
            await heard.until(WorkerGone)
            _, again = await heard.until(WorkerUp, count=2)
            assert again.worker == "w~2"


async def test_a_worker_that_is_silent_for_too_long_is_gone():
    async with serving("w") as port:
        pool = static_pool(f"127.0.0.1:{port}")
        await pool.start(heard := Heard())
        await heard.until(WorkerUp)
    (gone,) = await heard.until(WorkerGone)
    assert "has not answered" in gone.reason
    async with serving("x", port=port):
        _, other = await heard.until(WorkerUp, count=2)
        assert other.worker == "x"
    await pool.close()


async def test_another_worker_at_the_same_address_is_another_worker():
    async with serving("first") as port:
        pool = static_pool(f"127.0.0.1:{port}")
        await pool.start(heard := Heard())
        await heard.until(WorkerUp)
    async with serving("second", port=port):
        await heard.until(WorkerGone)
        _, second = await heard.until(WorkerUp, count=2)
        assert second.worker == "second"
        await pool.close()


def test_idle_workers_that_are_told_to_end_are_released(tmp_path):
    """As by a restart, or by a smaller number of them: nobody is to be alarmed by it."""
    with Services(tmp_path, {}, workers=2) as services:
        metrics = f"{services.url}/metrics"
        wait_for(lambda: values(metrics, "apollo_workers", state="idle") == 2, "both workers")
        assert services.end("worker-0") == 0
        services.start_worker(0)
        wait_for(lambda: values(metrics, "apollo_workers_joined_total") == 3, "the worker that was restarted")
        for name in ("worker-0", "worker-1"):
            assert services.end(name) == 0
        wait_for(lambda: values(metrics, "apollo_workers_left_total") == 3, "the ends of three")
        assert values(metrics, "apollo_workers_left_total", cause="released") == 3


def values(url: str, name: str, **labels: str) -> float:
    """The sum of a family's series with these labels."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if sample.labels.items() >= labels.items())


async def test_a_worker_whose_address_was_taken_away_is_let_go(monkeypatch):
    async with serving("w") as port, running(static_pool(f"localhost:{port}")) as heard:
        await heard.until(WorkerUp)

        async def nobody(*_, **__):
            return []

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nobody)
        await heard.until(WorkerGone)
        assert [type(event) for event in heard.events] == [WorkerUp, WorkerDraining, WorkerGone]


async def test_a_name_that_does_not_resolve_is_told_of():
    async with running(static_pool("no-such-host.invalid:8090")) as heard:
        (trouble,) = await heard.until(PoolTrouble)
        assert "no-such-host.invalid" in trouble.message


async def test_a_name_that_does_not_resolve_keeps_no_other_worker_away():
    async with serving("w") as port, running(static_pool("no-such-host.invalid:1", f"127.0.0.1:{port}")) as heard:
        (up,) = await heard.until(WorkerUp)
        assert up.worker == "w"


@pytest.mark.parametrize("entry", ["worker", "worker:", ":8090", "worker:port", "worker:0", "worker:70000"])
def test_an_entry_that_is_no_address_is_refused(entry):
    with pytest.raises(InvalidSetting, match="host:port"):
        StaticPool(StaticPoolSettings((entry,)), connect)


async def test_a_defect_while_a_worker_is_met_does_not_give_it_up():
    met = []

    def defective_once(address, token):
        met.append(address)
        if len(met) == 1:
            raise LookupError("a defect")
        return connect(address, token)

    async with serving("w") as port, running(static_pool(f"127.0.0.1:{port}", connector=defective_once)) as heard:
        await heard.until(WorkerUp)
    assert len(met) == 2


async def test_a_worker_that_was_told_to_end_is_met_only_for_what_it_still_runs():
    """Else it would be met and refuse an attempt, again and again, until it has ended."""
    async with serving("idle", draining=True) as port, running(static_pool(f"127.0.0.1:{port}")) as heard:
        (trouble,) = await heard.until(PoolTrouble)
        assert "was told to end" in trouble.message
        assert not [event for event in heard.events if isinstance(event, WorkerUp)]
    busy = serving("busy", draining=True, attempt="j-m-00000-0")
    async with busy as port, running(static_pool(f"127.0.0.1:{port}")) as heard:
        await heard.until(WorkerUp)
