"""One verb with its options and paths, as its function gets them."""

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from apollo_client.hadoop.files.port import NO_SUCH, PathProblem, Status
from apollo_client.hadoop.files.tree import Files, first_wildcard
from apollo_client.hadoop.paths import Paths
from apollo_common.errors import ApolloError


@dataclass(frozen=True, slots=True)
class Found:
    """A file or directory, and its path in the form that the user gave."""

    status: Status
    shown: str

    def below(self, child: Status) -> "Found":
        return Found(child, f"{self.shown.rstrip('/')}/{child.name}")


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
            return [Found(matched[0], text if text == "/" else text.rstrip("/"))]
        base, shown_base = url.rindex("/", 0, cut) + 1, text.rfind("/", 0, shown_cut) + 1
        found = [Found(status, text[:shown_base] + status.url[base:]) for status in matched]
        return sorted(found, key=lambda one: one.shown.encode())

    async def status_of(self, text: str) -> Status | None:
        return await self.files.status(self.resolve.url(text))
