"""What a killed and a slow worker cost a job: a real coordinator and eight real worker processes on this machine."""

import asyncio
import json
import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

from apollo_client.rest import RestClient
from benchmarks.service import JobFailed, coordinator, ended, wall_seconds, workers_joined

PROGRAM = Path(__file__).parent / "slowdown_program.py"
WORKERS = 8
SLOWER_TIMES = 10
KILL_AT = 0.4  # of the maps done
LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Size:
    maps: int
    split_bytes: int  # the program takes two seconds a MiB


FULL = Size(maps=48, split_bytes=2 << 20)
QUICK = Size(maps=16, split_bytes=64 << 10)


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    kill: bool = False
    slow: bool = False
    speculation: bool = True


SCENARIOS = (
    Scenario("nothing lost, nobody slow"),
    Scenario("one of 8 workers killed in mid-job, restarted at once", kill=True),
    Scenario("one of 8 ten times slower, no backup attempts", slow=True, speculation=False),
    Scenario("one of 8 ten times slower, backup attempts", slow=True),
)


def measure(*, runs: int, size: Size) -> dict[str, list[float]]:
    """Seconds of each scenario, which take turns on one coordinator. JobFailed."""
    return asyncio.run(_measure(runs, size))


async def _measure(runs: int, size: Size) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory(prefix="apollo-bench-") as name:
        folder = Path(name)
        (folder / "input").write_bytes(b"0123456\n" * (size.maps * size.split_bytes // 8))
        seconds: dict[str, list[float]] = {scenario.name: [] for scenario in SCENARIOS}
        async with coordinator(folder, workers=WORKERS, worker_orphan_seconds=60) as (_, client):
            await client.upload(PROGRAM)
            await _one_job(client, folder, Scenario("warm-up"), "warm-up", size)
            for number in range(runs):
                for scenario in SCENARIOS:
                    output = f"{number}-{SCENARIOS.index(scenario)}"
                    seconds[scenario.name].append(await _one_job(client, folder, scenario, output, size))
        return seconds


async def _one_job(client: RestClient, folder: Path, scenario: Scenario, output: str, size: Size) -> float:
    workers = await workers_joined(client, WORKERS)
    env = {"SLOW_WORKER": workers[0], "SLOWER_TIMES": str(SLOWER_TIMES)} if scenario.slow else {}
    submitted = await client.submit(
        {
            "inputPath": f"file://{folder}/input",
            "outputPath": f"file://{folder}/{output}",
            "mapperName": PROGRAM.name,
            "reducerName": "builtin:sum",
            "nReducers": WORKERS,
            "splitSize": size.split_bytes,
            "speculation": scenario.speculation,
            "env": env,
        }
    )
    job = submitted["job"]["id"]
    if scenario.kill:
        await _kill_one(client, folder, job, KILL_AT * size.maps)
    view = await ended(client, job)
    _check(folder / output, size.maps * size.split_bytes)
    return wall_seconds(view)


async def _kill_one(client: RestClient, folder: Path, job: str, maps: float) -> None:
    """Kill a worker that runs an attempt, once so many maps are done."""
    while (await client.job(job))["progress"]["maps"]["completed"] < maps:
        await asyncio.sleep(LOOK_SECONDS)
    busy = [worker["id"] async for worker in client.workers() if worker["status"] == "busy"]
    state = json.loads((folder / "data/workers" / busy[0] / "worker.json").read_text())
    os.kill(state["pid"], signal.SIGKILL)


def _check(output: Path, size_bytes: int) -> None:
    lines = [line for part in sorted(output.glob("part-r-*")) for line in part.read_text().splitlines()]
    if lines != [f"bytes\t{size_bytes}"]:
        raise JobFailed(f"the output is {lines}, not the {size_bytes} bytes of the input")
