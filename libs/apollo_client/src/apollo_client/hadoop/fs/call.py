"""One verb with its options and paths, as its function gets them."""

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from apollo_client.hadoop.files.port import NO_SUCH, PathProblem, Status
from apollo_client.hadoop.files.tree import Files, first_wildcard
from apollo_client.hadoop.paths import Paths
from apollo_common.errors import ApolloError

HERE = "."
_SUCCESS = "_SUCCESS"


@dataclass(frozen=True, slots=True)
class Found:
    """A file or directory, and its path in the form that the user gave.

    `is_named`: the user's path is its own, not that of a directory above it and no wildcard.
    """

    status: Status
    shown: str
    is_named: bool = True

    @property
    def is_marker(self) -> bool:
        """Whether it stands among an output's parts to say that they are whole: in Hadoop it is empty."""
        return not self.is_named and not self.status.is_directory and self.status.name == _SUCCESS

    def below(self, status: Status) -> "Found":
        """What lies anywhere below this directory; below `.` Hadoop shows the bare names."""
        rest = status.url[len(self.status.url.removesuffix("/")) :]
        return Found(status, rest[1:] if self.shown == HERE else self.shown.rstrip("/") + rest, is_named=False)


@dataclass(slots=True)
class Call:
    """`options` without their dashes. `status` becomes 1 when a path has failed; the others are still tried."""

    verb: str
    options: frozenset[str]
    paths: tuple[str, ...]
    files: Files
    resolve: Paths
    status: int = 0

    def failed(self, error: ApolloError) -> None:
        sys.stdout.flush()
        sys.stderr.write(f"{self.verb}: {error}\n")
        self.status = 1

    async def each(self, paths: tuple[str, ...]) -> AsyncIterator[Found]:
        """What the paths name, globs expanded. One that names nothing fails."""
        for text in paths:
            try:
                for found in await self.find(text):
                    yield found
            except ApolloError as error:
                self.failed(error)

    async def find(self, text: str) -> list[Found]:
        """PathProblem when there is nothing."""
        url = self.resolve.url(text)
        matched = await self.files.match(url)
        if not matched:
            raise PathProblem(text, NO_SUCH)
        cut, shown_cut = first_wildcard(url), first_wildcard(text)
        if cut is None or shown_cut is None:
            return [Found(matched[0], text if text in ("/", "./") else text.rstrip("/"))]
        base, shown_base = url.rindex("/", 0, cut) + 1, text.rfind("/", 0, shown_cut) + 1
        found = [Found(status, text[:shown_base] + status.url[base:], is_named=False) for status in matched]
        return sorted(found, key=lambda one: one.shown.encode())

    async def status_of(self, text: str) -> Status | None:
        return await self.files.status(self.resolve.url(text))
