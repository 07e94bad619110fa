"""Walks and globs over every file system: the right one by the URL's scheme."""

import re
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from apollo_client.hadoop.errors import HadoopUsage
from apollo_client.hadoop.files.bucket import Buckets
from apollo_client.hadoop.files.local import LocalFiles
from apollo_client.hadoop.files.port import FileSystem, Status
from apollo_common.storage.location import parse

MAX_ALTERNATIVES = 10_000  # that the braces of one path may stand for
MAX_DEPTH = 100
_WILDCARD = re.compile(r"[*?\[]")
_SPECIAL = re.compile(r"[*?\[{]")

_Order = Callable[[list[Status]], list[Status]]


class Files:
    """An async context manager. URLs have no trailing slash."""

    def __init__(self) -> None:
        self._local = LocalFiles()
        self._buckets = Buckets()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._buckets.close()

    def of(self, url: str) -> FileSystem:
        return self._buckets if parse(url).scheme == "s3" else self._local

    async def status(self, url: str) -> Status | None:
        return await self.of(url).status(url)

    async def children(self, url: str) -> list[Status]:
        return [child async for child in self.of(url).children(url)]

    async def below(self, url: str, depth: int = 0, order: _Order = list) -> AsyncIterator[Status]:
        """Everything below a directory, a directory before what it holds; `order`: of what is right below one."""
        if depth > MAX_DEPTH:
            raise HadoopUsage(f"{url} lies more than {MAX_DEPTH} directories deep")
        for child in order(await self.children(url)):
            yield child
            if child.is_directory:
                async for further in self.below(child.url, depth + 1, order):
                    yield further

    async def match(self, pattern: str, *, hidden: bool = True) -> list[Status]:
        """What a path names: `*`, `?`, `[a-c]`, `[^a]` and `{a,b}` as in Hadoop. Without `hidden`, no `_x` and `.x`."""
        found: dict[str, Status] = {}
        for alternative in expand_braces(pattern):
            for status in await self._match(alternative, hidden=hidden):
                found.setdefault(status.url, status)
        return list(found.values())

    async def _match(self, pattern: str, *, hidden: bool) -> list[Status]:
        wildcard = _WILDCARD.search(pattern)
        if wildcard is None:
            status = await self.status(pattern)
            return [status] if status is not None else []
        start = pattern.rfind("/", 0, wildcard.start())
        base, segments = pattern[:start], pattern[start + 1 :].split("/")
        matches = [base if base != "file://" else "file:///"]
        found: list[Status] = []
        for position, segment in enumerate(segments):
            found = []
            for parent in matches:
                found += await self._matching(parent, segment, hidden=hidden)
            last = position == len(segments) - 1
            matches = [status.url for status in found if status.is_directory or last]
        return found

    async def _matching(self, parent: str, segment: str, *, hidden: bool) -> list[Status]:
        if not _WILDCARD.search(segment):
            status = await self.status(f"{parent}/{segment}")
            return [status] if status is not None else []
        above = await self.status(parent)
        if above is None or not above.is_directory:
            return []
        accepts = re.compile(_translate(segment), re.DOTALL)
        return [
            child
            for child in await self.children(parent)
            if accepts.fullmatch(child.name) and (hidden or not child.name.startswith(("_", ".")))
        ]


def is_pattern(path: str) -> bool:
    return _SPECIAL.search(path) is not None


def first_wildcard(pattern: str) -> int | None:
    """Where the first character stands that makes a path a pattern."""
    match = _SPECIAL.search(pattern)
    return match.start() if match else None


def expand_braces(pattern: str) -> list[str]:
    """`{a,b}c` as `ac` and `bc`, nested ones too. HadoopUsage."""
    finished, waiting = list[str](), [pattern]
    while waiting:
        text = waiting.pop()
        if len(finished) + len(waiting) > MAX_ALTERNATIVES:
            raise HadoopUsage(f"{pattern}: stands for more than {MAX_ALTERNATIVES} paths")
        inner = re.search(r"\{([^{}]*)\}", text)
        if inner is None:
            finished.append(text)
            continue
        before, after = text[: inner.start()], text[inner.end() :]
        waiting += [f"{before}{choice}{after}" for choice in reversed(inner[1].split(","))]
    return list(dict.fromkeys(finished))


def _translate(segment: str) -> str:
    """A regular expression for one segment of a glob."""
    parts, position = [], 0
    while position < len(segment):
        character = segment[position]
        position += 1
        closing = segment.find("]", position + 1) if character == "[" else -1
        if character == "*":
            parts.append("[^/]*")
        elif character == "?":
            parts.append("[^/]")
        elif closing > 0:
            inside = segment[position:closing].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[{'^' + inside[1:] if inside[0] in '!^' else inside}]")
            position = closing + 1
        elif character == "\\" and position < len(segment):
            parts.append(re.escape(segment[position]))
            position += 1
        else:
            parts.append(re.escape(character))
    return "".join(parts)
