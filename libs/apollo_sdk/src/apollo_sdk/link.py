"""The port between a program's functions and whoever runs them: a worker, a shell pipe or a test."""

from collections.abc import Iterator
from typing import Protocol

from apollo_sdk.block import Block

Group = tuple[bytes, Iterator[bytes]]


class Link(Protocol):
    """Where input comes from and output goes to. Used by one thread."""

    settings: dict[str, str]

    def blocks(self) -> Iterator[Block]:
        """The map input."""
        ...

    def groups(self) -> Iterator[Group]:
        """The reduce or combine input: keys in order, each with its values. Values left unread are skipped."""
        ...

    def pairs(self, keys: list[bytes], values: list[bytes]) -> None: ...

    def write(self, content: bytes) -> None: ...

    def counter(self, group: str, name: str, increment: int) -> None: ...

    def status(self, message: str) -> None: ...

    def end(self, taken: int) -> None:
        """All output is there; `taken` records or groups of the input were used."""
        ...

    def fail(self, message: str) -> None:
        """The program cannot do what it was asked to."""
        ...
