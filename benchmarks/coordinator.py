"""A real coordinator on one processor, with real gRPC streams to hundreds of workers that do no work."""

import asyncio
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp

from apollo_client.rest import RestClient
from benchmarks.report import MIB, Table, save_table
from benchmarks.service import JobFailed, coordinator, ended, socket_of, wall_seconds, workers_joined

WORKER_PROCESSES = 2
PROBE_SECONDS = 0.02
REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Load:
    workers: int
    maps: int
    reduces: int


FULL = Load(workers=500, maps=5_000, reduces=50)
QUICK = Load(workers=6, maps=30, reduces=2)


@dataclass(frozen=True, slots=True)
class Run:
    """One job. Its tasks do nothing, so that what is measured is the coordinator."""

    tasks: int
    wall_seconds: float  # from the submission to the job's end
    cpu_seconds: float  # of the coordinator, all its threads
    resident_bytes: int  # of the coordinator at the job's end
    answers_ms: list[float]  # of /healthz, asked all the time: how long the event loop lets others wait

    @property
    def per_second(self) -> float:
        return self.tasks / self.wall_seconds

    @property
    def cpu_per_thousand(self) -> float:
        return self.cpu_seconds / self.tasks * 1000


def run(*, runs: int, quick: bool, results_folder: Path) -> None:
    """Jobs one after another on one coordinator; print and save the table."""
    load = QUICK if quick else FULL
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection for each worker, on both sides
    bare, measured = asyncio.run(_measure(load, runs))
    table = tabulate(load, bare, measured)
    facts = {"load": asdict(load), "bare_cpu_per_thousand": bare, "runs": [asdict(run) for run in measured]}
    path = save_table(results_folder, "coordinator", table, **facts)
    print(f"{table.markdown()}\n\nSaved as {path} and .json")


async def _measure(load: Load, runs: int) -> tuple[float, list[Run]]:
    """Processor seconds of 1,000 bare calls, and the jobs."""
    with tempfile.TemporaryDirectory(prefix="apollo-bench-") as name, _workers(load.workers) as addresses:
        bare = await asyncio.to_thread(_bare_cpu_per_thousand, addresses, load.maps)
        folder = Path(name)
        (folder / "input").write_bytes(b"\n" * load.maps)  # one split a byte
        settings = {"pool": "static", "worker_addresses": ",".join(addresses)}
        async with coordinator(folder, **settings) as (process, client):
            _pin(process)
            await workers_joined(client, load.workers)
            return bare, [await _one_job(process, client, load, folder, number) for number in range(runs)]


async def _one_job(process: int, client: RestClient, load: Load, folder: Path, number: int) -> Run:
    body = {
        "inputPath": f"file://{folder}/input",
        "outputPath": f"file://{folder}/output{number}",
        "mapperName": "builtin:identity",
        "reducerName": "builtin:identity",
        "nReducers": load.reduces,
        "splitSize": 1,
    }
    async with asyncio.TaskGroup() as group:
        answers_ms: list[float] = []
        probe = group.create_task(_probe(folder, answers_ms))
        cpu_seconds = _cpu_seconds(process)
        view = await ended(client, (await client.submit(body))["job"]["id"])
        cpu_seconds = _cpu_seconds(process) - cpu_seconds
        probe.cancel()
    done = sum(view["progress"][phase]["completed"] for phase in ("maps", "reduces"))
    if done != load.maps + load.reduces:
        raise JobFailed(f"{done} tasks are done, not {load.maps} and {load.reduces}")
    return Run(done, wall_seconds(view), cpu_seconds, _resident_bytes(process), answers_ms)


async def _probe(folder: Path, answers_ms: list[float]) -> None:
    connector = aiohttp.UnixConnector(path=str(socket_of(folder)))
    async with aiohttp.ClientSession(connector=connector) as session:
        while True:
            began = time.perf_counter()
            async with session.get("http://localhost/healthz") as answer:
                await answer.read()
            answers_ms.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(PROBE_SECONDS)


@contextmanager
def _workers(count: int) -> Iterator[list[str]]:
    """The addresses of null workers, in a few processes beside the coordinator's processor."""
    shares = [len(range(part, count, WORKER_PROCESSES)) for part in range(WORKER_PROCESSES)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.null_workers", f"null{number}", str(share)],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number, share in enumerate(shares)
    ]  # fmt: skip
    try:
        for process in processes:
            with suppress(OSError):  # one processor only
                os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[1:])
        yield [address for process in processes if process.stdout for address in json.loads(process.stdout.readline())]
    finally:
        for process in processes:
            process.communicate()


def _bare_cpu_per_thousand(addresses: list[str], calls: int) -> float:
    command = [sys.executable, "-m", "benchmarks.bare_calls", str(calls)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        _pin(process.pid)
        answer, _ = process.communicate(json.dumps(addresses))
    return float(answer) / calls * 1000


def _pin(process: int) -> None:
    """To one processor; the workers have the others."""
    os.sched_setaffinity(process, sorted(os.sched_getaffinity(0))[:1])


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(process: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found.group(1)) << 10 if found else 0


def tabulate(load: Load, bare: float, measured: list[Run]) -> Table:
    def row(name: str, runs: list[Run]) -> tuple[object, ...]:
        answers_ms = sorted(answer for run in runs for answer in run.answers_ms)
        return (
            name,
            f"{statistics.median(run.per_second for run in runs):,.0f}",
            f"{statistics.median(run.cpu_per_thousand for run in runs):.2f}",
            f"{statistics.median(answers_ms):.0f}",
            f"{answers_ms[int(len(answers_ms) * 0.99)]:.0f}",
            f"{answers_ms[-1]:.0f}",
            f"{runs[-1].resident_bytes / MIB:.0f}",
        )

    return Table(
        f"A coordinator with {load.workers:,} workers over gRPC, {load.maps:,} maps and {load.reduces:,} reduces a job",
        f"{len(measured)} jobs, one after another, of tasks that do nothing; the coordinator has one processor, the "
        f"workers share the others. CPU seconds are the coordinator's, per 1,000 completions; answers are those of "
        "/healthz meanwhile; memory is resident at the end of the job.",
        ("job", "completions/s", "CPU s / 1,000", "answer ms p50", "p99", "max", "MiB"),
        [
            ("the calls alone", "", f"{bare:.2f}", "", "", "", ""),
            *(row(str(number), [run]) for number, run in enumerate(measured, 1)),
            row("median", measured),
        ],
    )
