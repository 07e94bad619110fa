"""How fast records go to a program and back: `python benchmarks/artifact.py [MEBIBYTES]`.

One session each, without input, shuffle or output: a C program that passes records on over frames, `cat` over text, and
the start and end of a program that does nothing. MB count both directions; the CPU columns hold on a busy machine too.
"""

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from apollo_worker.artifact.context import ArtifactProgram, ProgramContext, ShellProgram, TextProtocol
from apollo_worker.artifact.session import ProgramSession
from apollo_worker.core.columns import PairBatch, RecordBlock
from apollo_worker.shuffle.group import grouped

REPOSITORY = Path(__file__).parents[1]
BLOCK_BYTES = 1 << 20
RECORD_BYTES = 100
STARTS = 20


class CountingSink:
    def __init__(self) -> None:
        self.size_bytes = 0

    async def pairs(self, batch: PairBatch) -> None:
        self.size_bytes += batch.size_bytes

    async def raw(self, content: bytes | memoryview) -> None:
        self.size_bytes += len(content)


class SilentObserver:
    def started(self, process_id: int) -> None: ...
    def counter(self, group: str, name: str, increment: int) -> None: ...
    def status(self, message: str) -> None: ...
    def stderr(self, content: bytes) -> None: ...


def main() -> None:
    size_bytes = int(sys.argv[1] if len(sys.argv) > 1 else "512") << 20
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(Path(directory), size_bytes))


async def measure(directory: Path, size_bytes: int) -> None:
    identity = ArtifactProgram(build(directory), "identity")
    cat = ShellProgram("exec cat")
    line, pair = lines_block(), pair_batch()
    runs: list[tuple[str, dict[str, Any], Any]] = [
        ("frames, C, map", {"program": identity, "protocol": "frames"}, line),
        ("frames, C, reduce", {"program": identity, "protocol": "frames", "role": "reduce"}, pair),
        ("text, cat, map", {"program": cat, "protocol": "text"}, line),
        ("text, cat, map, pipe", {"program": cat, "protocol": "text", "stdio": "pipe"}, line),
        (
            "text, cat, reduce, raw",
            {"program": cat, "protocol": "text", "role": "reduce", "text": TextProtocol(raw_output=True)},
            pair,
        ),
    ]
    print(
        f"{'conversation':26} {'MB/s':>8} {'M records/s':>12} {'MB per worker CPU-s':>20} {'MB per program CPU-s':>21}"
    )
    for title, settings, block in runs:
        session = make_session(directory, settings)
        times = size_bytes // BLOCK_BYTES
        sink = CountingSink()
        run = session.map if isinstance(block, RecordBlock) else session.reduce
        started, worker, program = time.perf_counter(), time.process_time(), children_seconds()
        result = await run(repeated(block, times), sink)
        seconds, moved = time.perf_counter() - started, times * BLOCK_BYTES + sink.size_bytes
        worker, program = time.process_time() - worker, children_seconds() - program
        print(
            f"{title:26} {moved / seconds / 1e6:8.0f} {result.input_records / seconds / 1e6:12.2f}"
            f" {moved / worker / 1e6:20.0f} {moved / program / 1e6:21.0f}"
        )
    started = time.perf_counter()
    for _ in range(STARTS):
        await make_session(directory, {"program": ShellProgram("exec cat"), "protocol": "text"}).map(
            repeated(line, 0), CountingSink()
        )
    print(f"start to end of an empty run: {(time.perf_counter() - started) / STARTS * 1000:.0f} ms")


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def make_session(directory: Path, settings: dict[str, Any]) -> ProgramSession:
    context = ProgramContext(
        **{
            "role": "map",
            "job_id": "bench",
            "task_id": "bench-m-00000",
            "attempt_number": 0,
            "partition": 0,
            "work_root": directory,
            "memory_budget_bytes": 256 << 20,
            **settings,
        }
    )
    return ProgramSession(context, SilentObserver(), group=grouped)


def build(directory: Path) -> Path:
    program, sdk = directory / "identity-built", REPOSITORY / "sdk/c"
    sources = [REPOSITORY / "benchmarks/identity.c", sdk / "apollo.c"]
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", f"-I{sdk}", "-o", program, *sources], check=True)
    return program


def lines_block() -> RecordBlock:
    count = BLOCK_BYTES // RECORD_BYTES
    lines = letters(count * RECORD_BYTES).reshape(count, RECORD_BYTES)
    lines[:, -1] = ord("\n")
    return RecordBlock("file:///bench", lines.tobytes(), count, 0)


def pair_batch() -> PairBatch:
    """Pairs of a 10-byte key and a 90-byte value; every key is new, so a group is a pair."""
    count = BLOCK_BYTES // RECORD_BYTES
    rows = np.arange(count + 1, dtype=np.int32)
    return PairBatch(rows * 10, letters(count * 10), rows * 90, letters(count * 90))


def letters(size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(ord("a"), ord("z") + 1, size, np.uint8)


async def repeated(item: Any, times: int) -> AsyncIterator[Any]:
    for _ in range(times):
        yield item


if __name__ == "__main__":
    main()
