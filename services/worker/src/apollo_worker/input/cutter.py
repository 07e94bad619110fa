"""What cuts a stream of bytes into blocks of whole records, whatever the format."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from apollo_common.errors import RecordTooLarge
from apollo_worker.core.budget import record_limit_bytes, record_limit_words
from apollo_worker.core.columns import RecordBlock

DEFAULT_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class InputLimits:
    """`block_bytes`: a block is handed on once it has this many. `max_record_bytes`: a larger record is an error."""

    block_bytes: int = DEFAULT_BLOCK_BYTES
    max_record_bytes: int = 64 << 20

    @classmethod
    def for_memory_budget(cls, memory_budget_bytes: int) -> "InputLimits":
        max_record_bytes = record_limit_bytes(memory_budget_bytes)
        return cls(min(DEFAULT_BLOCK_BYTES, max_record_bytes), max_record_bytes)


@dataclass(frozen=True, slots=True)
class Extent:
    """The bytes of an object that a piece of a split owns: records that start at `start` or later, before `end`.

    A compressed object is one extent of unknown length: `end` is None.
    """

    url: str
    start: int
    end: int | None


class RecordCutter(Protocol):
    """Pure: bytes in, blocks out. `first_byte` is the offset of the first byte to feed."""

    first_byte: int
    done: bool  # no byte more is needed
    takes_long: bool  # more than a moment for each block: not on the event loop
    owned_bytes: int  # of the records handed out so far, as they lie in the (decoded) object

    def feed(self, chunk: bytes) -> Iterator[RecordBlock]: ...

    def finish(self) -> Iterator[RecordBlock]:
        """The object has ended."""
        ...


def too_large(url: str, offset: int, max_record_bytes: int) -> RecordTooLarge:
    return RecordTooLarge(
        f"{url}: the record at byte {offset} is too large: {record_limit_words(max_record_bytes)}, or check the "
        "input's format"
    )
