"""Process pools of scripted workers, and what they have told their listener."""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from apollo_common.backoff import Backoff
from apollo_coordinator.pools.local_worker import WorkerState
from apollo_coordinator.pools.process import ProcessPool, ProcessPoolSettings
from apollo_coordinator.pools.supervision import Connect, Supervision
from apollo_coordinator.ports import PoolEvent, WorkerPool
from apollo_coordinator.rpc.link import GrpcWorkerLink, LinkSettings
from support.apollo_cli import REPOSITORY, environment
from support.scripted_worker import COMMAND

T = TypeVar("T")

PATIENCE_SECONDS = 60.0

# Short, but long enough for a machine that is busy with other tests.
QUICK_SUPERVISION = Supervision(describe_every_seconds=0.2, silence_seconds=4.0, backoff=Backoff(20, 10_000))
QUICK_LINK = LinkSettings(silence_seconds=4.0, call_seconds=2.0, reattach=Backoff(first_ms=20, limit_ms=5_000, tries=5))


def connect(address: str, token: str = "", *, tls: ssl.SSLContext | None = None) -> GrpcWorkerLink:
    return GrpcWorkerLink(address, token, QUICK_LINK, tls=tls)


class Heard:
    """The listener of a pool: keeps every event and lets a test wait for one."""

    def __init__(self) -> None:
        self.events: list[PoolEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: PoolEvent) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, kind: type[T], *, count: int = 1) -> list[T]:
        """The first `count` events of a kind, as soon as they have come."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(found := [event for event in self.events if isinstance(event, kind)]) < count:
                self._news.clear()
                await self._news.wait()
        return found[:count]


def scripted_environment() -> dict[str, str]:
    env = environment()
    return env | {"PYTHONPATH": os.pathsep.join([env["PYTHONPATH"], str(REPOSITORY / "tests")])}


def process_settings(directory: Path, **changes: Any) -> ProcessPoolSettings:
    defaults: dict[str, Any] = {
        "data_dir": directory,
        "volume": directory / "volume",
        "workers": 1,
        "command": COMMAND,
        "environment": scripted_environment(),
        "stop_seconds": 1.0,
        "supervision": QUICK_SUPERVISION,
    }
    return ProcessPoolSettings(**(defaults | changes))


@asynccontextmanager
async def running(pool: WorkerPool) -> AsyncIterator[Heard]:
    """Start a pool and close it at the end."""
    heard = Heard()
    await pool.start(heard)
    try:
        yield heard
    finally:
        await pool.close()


def process_pool(directory: Path, *, connector: Connect = connect, **changes: Any) -> ProcessPool:
    return ProcessPool(process_settings(directory, **changes), connector)


def read_state(data_dir: Path, worker: str) -> WorkerState:
    """What a process pool has written down of a worker."""
    return WorkerState(**json.loads((data_dir / "workers" / worker / "worker.json").read_text()))
