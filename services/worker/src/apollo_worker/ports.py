"""The seams inside a worker: where records come from, who processes them, where the results go."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from apollo_worker.core.columns import PairBatch, RecordBlock

Counters = dict[str, dict[str, int]]


class RecordReader(Protocol):
    """Reads the input of one map attempt, once. `input_bytes` says how far it is, and ends at `size_bytes`."""

    input_bytes: int

    @property
    def size_bytes(self) -> int: ...

    def blocks(self) -> AsyncGenerator[RecordBlock, None]:
        """All records, in order. Close it (contextlib.aclosing) when it is not read to its end."""
        ...


class PairSink(Protocol):
    """Takes what a program emits. Awaiting applies backpressure; a sink may keep the batch's arrays only by copying."""

    async def pairs(self, batch: PairBatch) -> None: ...

    async def raw(self, content: bytes | memoryview) -> None:
        """Bytes that go to the output as they are; PermanentError where the task has no output part."""
        ...


class ProgramObserver(Protocol):
    """Hears what a program says beside its data. Called on the event loop; must not block."""

    def started(self, process_id: int) -> None: ...

    def counter(self, group: str, name: str, increment: int) -> None:
        """ProgramProtocolError, which fails the program, when it may not count so."""
        ...

    def status(self, message: str) -> None: ...

    def stderr(self, content: bytes) -> None: ...


@dataclass(slots=True)
class ProgramResult:
    """How a program's run ended well. A run that ended badly raises a ProgramError instead."""

    input_records: int = 0
    output_records: int = 0


class Mapper(Protocol):
    """Runs the map program over one split's records."""

    async def map(self, records: AsyncIterator[RecordBlock], sink: PairSink) -> ProgramResult: ...


class Reducer(Protocol):
    """Runs the reduce or combine program over pairs sorted by key; equal keys are adjacent across batches."""

    async def reduce(self, pairs: AsyncIterator[PairBatch], sink: PairSink) -> ProgramResult: ...
