"""Runs programs in sessions: the worker's side of the artifact protocol without a worker."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from apollo_worker.artifact.context import ArtifactProgram, ProgramContext, ShellProgram
from apollo_worker.artifact.session import ProgramSession
from apollo_worker.core.columns import GroupBatch, PairBatch, RecordBlock
from apollo_worker.ports import ProgramResult

INPUT_URL = "file:///data/input.txt"
BUDGET_BYTES = 64 << 20


class CollectingSink:
    """Keeps copies of all that it is given."""

    def __init__(self) -> None:
        self.emitted: list[tuple[bytes, bytes]] = []
        self.content = b""

    async def pairs(self, batch: PairBatch) -> None:
        self.emitted += batch.to_pairs()

    async def raw(self, content: bytes | memoryview) -> None:
        self.content += bytes(content)


class RecordingObserver:
    def __init__(self) -> None:
        self.process_ids: list[int] = []
        self.counters: dict[tuple[str, str], int] = {}
        self.statuses: list[str] = []
        self.log = b""

    def started(self, process_id: int) -> None:
        self.process_ids.append(process_id)

    def counter(self, group: str, name: str, increment: int) -> None:
        self.counters[group, name] = self.counters.get((group, name), 0) + increment

    def status(self, message: str) -> None:
        self.statuses.append(message)

    def stderr(self, content: bytes) -> None:
        self.log += content


class Bench:
    """One program on the bench: what it was given and what came of it."""

    def __init__(self, work_root: Path, program: str | Path, **settings: Any) -> None:
        """`program` is a shell command, or the path of an executable."""
        self.sink = CollectingSink()
        self.observer = RecordingObserver()
        self.context = ProgramContext(
            **{
                "role": "map",
                "job_id": "job",
                "task_id": "job-m-00007",
                "attempt_number": 2,
                "partition": 7,
                "program": ShellProgram(program)
                if isinstance(program, str)
                else ArtifactProgram(program, program.name),
                "protocol": "text",
                "work_root": work_root,
                "memory_budget_bytes": BUDGET_BYTES,
                "input_url": INPUT_URL,
                **settings,
            }
        )
        self.session = ProgramSession(self.context, self.observer, group=grouped)

    async def map(self, *blocks: RecordBlock) -> ProgramResult:
        return await self.session.map(stream(blocks), self.sink)

    async def map_lines(self, *lines: bytes) -> ProgramResult:
        return await self.map(*([lines_block(lines)] if lines else []))

    async def reduce(self, *batches: list[tuple[bytes, bytes]]) -> ProgramResult:
        return await self.session.reduce(stream(PairBatch.from_pairs(batch) for batch in batches), self.sink)


async def stream(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


def lines_block(lines: Iterable[bytes], offset: int = 0, url: str = INPUT_URL) -> RecordBlock:
    lines = list(lines)
    return RecordBlock(url, b"".join(line + b"\n" for line in lines), len(lines), offset)


def sized_block(records: list[bytes], offset: int = 0, url: str = INPUT_URL) -> RecordBlock:
    lengths = np.array([len(record) for record in records], np.uint32)
    return RecordBlock(url, b"".join(records), len(records), offset, lengths)


async def grouped(batches: AsyncIterator[PairBatch]) -> AsyncGenerator[GroupBatch, None]:
    """Groups by the obvious loop: a reference for tests, and slow."""
    last = None
    async for batch in batches:
        groups = [
            (key, [value for _, value in pairs]) for key, pairs in groupby(batch.to_pairs(), lambda pair: pair[0])
        ]
        keys = PairBatch.from_pairs([(key, b"") for key, _ in groups])
        values = PairBatch.from_pairs([(b"", value) for _, values in groups for value in values])
        counts = np.array([len(values) for _, values in groups], np.uint32)
        yield GroupBatch(
            groups[0][0] == last, keys.key_offsets, keys.key_bytes, counts, values.value_offsets, values.value_bytes
        )
        last = groups[-1][0]
