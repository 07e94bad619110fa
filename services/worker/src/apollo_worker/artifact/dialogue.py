"""The seam between a session and the two protocols: what one run says to its program, and hears from it."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from apollo_worker.core.columns import PairBatch, RecordBlock
from apollo_worker.core.frames import Buffer
from apollo_worker.ports import PairSink


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of encoded input and how many records are in it."""

    buffers: Sequence[Buffer]
    records: int


class Dialogue(Protocol):
    """One run's conversation. `stdin` and `stdout` are the program's ends; the dialogue closes them."""

    stdin: int
    output_records: int

    @property
    def stdout(self) -> int | None:
        """None: standard output goes to the log, with standard error."""
        ...

    def encode_records(self, records: AsyncIterator[RecordBlock]) -> AsyncGenerator[Chunk, None]: ...

    def encode_pairs(self, pairs: AsyncIterator[PairBatch]) -> AsyncGenerator[Chunk, None]: ...

    def program_started(self) -> None:
        """Close what only the program may hold."""
        ...

    async def opened(self) -> None:
        """Returns when the program can be fed."""
        ...

    async def send(self, chunk: Chunk) -> None:
        """BrokenPipeError when the program reads no more."""
        ...

    async def end_input(self) -> None: ...

    async def drain(self, sink: PairSink) -> None:
        """Pass what the program writes to the sink until it stops. What is wrong for certain raises; what may be
        explained by the program's end is kept for `check`.
        """
        ...

    def program_ended(self) -> None:
        """Nothing of the program runs any more."""
        ...

    @property
    def broken(self) -> bool:
        """`drain` returned though the program had more to say."""
        ...

    def has_read(self) -> bool:
        """Whether the program took any of what it was sent; asked after its end, when nothing is being sent."""
        ...

    def check(self) -> None:
        """After exit status 0: raise what was kept."""
        ...

    def close(self) -> None: ...
