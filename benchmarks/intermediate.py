"""What it costs to keep map outputs in a bucket: the same sort with them on a volume and in a SeaweedFS, in turns."""

import asyncio
import os
import random
import statistics
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from apollo_client.rest import RestClient
from benchmarks.report import MIB, Table, save_table
from benchmarks.service import JobFailed, coordinator, ended, wall_seconds, workers_joined
from support.seaweedfs import running_s3_server

WORKERS = 2
REDUCERS = 4
SPLIT_BYTES = 16 * MIB
BUCKET = "intermediate"
_SEED = 20261122
_LINE_BYTES = 100
_KEY_CHARACTERS = 10


def run(*, size_bytes: int, runs: int, results_folder: Path) -> None:
    """Print and save a table."""
    seconds = asyncio.run(_measure(size_bytes, runs))
    base = seconds["volume"]
    rows = []
    for place, each in seconds.items():
        ratios = [one / volume for one, volume in zip(each, base, strict=True)]
        rows.append((place, f"{statistics.median(each):.2f}", f"{statistics.median(ratios):.2f}"))
    title = f"Map outputs of {size_bytes // MIB} MiB on a volume and in a bucket"
    note = f"Medians of {runs} runs, in turns; the ratio is to the volume, of the same run."
    table = Table(title, note, ("map outputs", "s", "ratio"), rows)
    path = save_table(results_folder, "intermediate", table, size_bytes=size_bytes, seconds=seconds)
    print(f"{table.markdown()}\n\nSaved as {path} and .json\n")


async def _measure(size_bytes: int, runs: int) -> dict[str, list[float]]:
    """Seconds by place. JobFailed, also when the outputs differ."""
    with running_s3_server() as server, tempfile.TemporaryDirectory(prefix="apollo-bench-") as name:
        server.client().create_bucket(Bucket=BUCKET)
        os.environ.update(server.environment)  # the coordinators' and their workers'
        folder = Path(name)
        await asyncio.to_thread(_write_lines, folder / "input", size_bytes)
        async with AsyncExitStack() as opened:
            clients: dict[str, RestClient] = {}
            for place, settings in {"volume": {}, "bucket": {"intermediate_dir": f"s3://{BUCKET}/map-outputs"}}.items():
                (folder / place).mkdir()
                started = coordinator(folder / place, workers=WORKERS, file_roots=folder, **settings)
                _, clients[place] = await opened.enter_async_context(started)
                await workers_joined(clients[place], WORKERS)
            seconds: dict[str, list[float]] = {place: [] for place in clients}
            for number in range(-1, runs):  # the first warms up
                for place, client in clients.items():
                    took = await _sort(client, folder, f"{place}-{number}")
                    if number >= 0:
                        seconds[place].append(took)
                _compare(folder, number)
            return seconds


async def _sort(client: RestClient, folder: Path, output: str) -> float:
    submitted = await client.submit(
        {
            "inputPath": f"file://{folder}/input",
            "outputPath": f"file://{folder}/{output}",
            "mapperName": "builtin:identity",
            "reducerName": "builtin:identity",
            "nReducers": REDUCERS,
            "splitSize": SPLIT_BYTES,
            "speculation": False,
        }
    )
    return wall_seconds(await ended(client, submitted["job"]["id"]))


def _write_lines(path: Path, size_bytes: int) -> None:
    draw = random.Random(_SEED)
    value = "v" * (_LINE_BYTES - _KEY_CHARACTERS - 2)
    with path.open("w") as out:
        for _ in range(size_bytes // _LINE_BYTES):
            out.write(f"{draw.randrange(10**_KEY_CHARACTERS):0{_KEY_CHARACTERS}d}\t{value}\n")


def _compare(folder: Path, number: int) -> None:
    if _parts(folder / f"volume-{number}") != _parts(folder / f"bucket-{number}"):
        raise JobFailed("the outputs differ")


def _parts(output: Path) -> Mapping[str, bytes]:
    return {part.name: part.read_bytes() for part in output.glob("part-*")}
