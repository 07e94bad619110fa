"""A coordinator as a process of its own, for the benchmarks that need one, and the jobs that they give it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from apollo_client.rest import RestClient

READY_SECONDS = 120
LOOK_SECONDS = 0.2
UNFINISHED = ("queued", "running", "committing")


class JobFailed(Exception):
    """The job has not done what it was asked to; how fast it failed says nothing."""


def socket_of(folder: Path) -> Path:
    return folder / "api"


@asynccontextmanager
async def coordinator(folder: Path, **settings: object) -> AsyncIterator[tuple[int, RestClient]]:
    """Its process id and a client, once it answers. All that it keeps lies below `folder`; its workers end with it."""
    given = {"data_dir": folder / "data", "unix_socket": socket_of(folder), "port": 0, "file_roots": folder} | settings
    command = [sys.executable, "-c", "from apollo_coordinator.app import main; main()"]
    env = os.environ | {f"APOLLO_{name.upper()}": str(value) for name, value in given.items()}
    with (folder / "coordinator.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        while not socket_of(folder).exists() and process.poll() is None:
            await asyncio.sleep(0.05)
        async with RestClient(f"unix://{socket_of(folder)}") as client:
            yield process.pid, client
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


async def workers_joined(client: RestClient, count: int) -> list[str]:
    """The ids of the workers, once there are so many. TimeoutError."""
    async with asyncio.timeout(READY_SECONDS):
        while len(workers := [worker["id"] async for worker in client.workers()]) < count:
            await asyncio.sleep(LOOK_SECONDS)
    return workers


async def ended(client: RestClient, job: str) -> Mapping[str, Any]:
    """The job as the API shows it once it has succeeded. JobFailed."""
    while (view := await client.job(job))["status"] in UNFINISHED:
        await asyncio.sleep(LOOK_SECONDS)
    if view["status"] != "succeeded":
        raise JobFailed(f"job {job} has {view['status']}: {view.get('failure')}")
    return view


def wall_seconds(view: Mapping[str, Any]) -> float:
    """From submission to end, by the coordinator's clock."""
    return float(view["endTime"] - view["createdTime"]) / 1000
