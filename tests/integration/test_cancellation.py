"""Start-up, shut-down and use, cancelled at every await: nothing stays open, and the next start finds all in order."""

import asyncio
import socket
import threading

import pytest

from apollo_client.rest import RestClient
from apollo_coordinator.app import Coordinator, Settings
from apollo_coordinator.store import data_directory
from support.cancellation import cancelled_everywhere
from support.engine import Site, ended, submit
from support.sessions import Bench


@pytest.fixture
def settings(tmp_path):
    """A whole coordinator, with a worker address at which nobody answers."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    return Settings(data_dir=tmp_path, port=0, pool="static", worker_addresses=(address,))


async def test_a_coordinator_that_starts(settings):
    async def life():
        coordinator = Coordinator(settings)
        try:
            await coordinator.start()
        finally:
            await coordinator.close()

    assert await cancelled_everywhere(life) > 5


async def test_a_cancelled_start_makes_no_directory_later(settings, monkeypatch):
    taking, may_go_on = threading.Event(), threading.Event()

    def take_slowly(directory):
        taking.set()
        may_go_on.wait(60)
        take(directory)

    take = data_directory.take
    monkeypatch.setattr(data_directory, "take", take_slowly)
    starting = asyncio.create_task(Coordinator(settings).start())
    await asyncio.to_thread(taking.wait, 60)
    starting.cancel()
    done, _ = await asyncio.wait([starting], timeout=0.1)
    assert not done
    may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await starting


async def test_an_engine_that_runs_a_job():
    async def life():
        site = Site()
        site.add_workers(2)
        try:
            async with site.coordinator() as engine:
                await ended(engine, await submit(engine))
        finally:
            await site.close()

    assert await cancelled_everywhere(life) > 5


async def test_a_client_that_asks(settings):
    coordinator = Coordinator(settings)
    await coordinator.start()

    async def ask():
        async with RestClient(coordinator.url) as client:
            await client.artifact("none")

    try:
        assert await cancelled_everywhere(ask) > 1
    finally:
        await coordinator.close()


async def test_a_program_that_runs(tmp_path):
    runs = iter(range(10_000))

    async def run():
        bench = Bench(tmp_path / str(next(runs)), "cat; sleep 1000 & exit 0")
        await bench.map_lines(b"a\nb\n")

    assert await cancelled_everywhere(run) > 5
    assert [path for path in tmp_path.glob("*/*") if "work" in path.name] == []
