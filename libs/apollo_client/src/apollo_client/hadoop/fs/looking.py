"""Verbs that only look at what there is: -ls, -test, -du, -count, -stat."""

import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import cycle

from apollo_client.hadoop.errors import HadoopUsage
from apollo_client.hadoop.files.port import NO_SUCH, PathProblem, Status
from apollo_client.hadoop.files.tree import is_pattern
from apollo_client.hadoop.fs.call import HERE, Call, Found
from apollo_client.hadoop.inputs import DEFAULT_BLOCK_BYTES
from apollo_common.errors import ApolloError

_UNITS = " KMGTPE"
_STAT_LETTERS = "aAbFgnoruyY%"
_STAT = re.compile(r"%(.?)")
_LENGTH_WIDTH, _REPLICATION_WIDTH = 10, 3


async def ls(call: Call) -> None:
    recursive = bool(call.options & {"R"}) or call.verb == "lsr"
    for text in call.paths or (HERE,):
        try:
            for found in await call.find(text):
                await _list_one(call, found, recursive=recursive)
        except ApolloError as error:
            call.failed(error)


async def _list_one(call: Call, found: Found, *, recursive: bool) -> None:
    if not found.status.is_directory or "d" in call.options:
        _print_entries(call, [found])
    elif recursive:
        async for below in _walk(call, found):
            _print_entries(call, [below])
    else:
        entries = [found.below(child) for child in _ordered(call, await call.files.children(found.status.url))]
        if entries and "C" not in call.options:
            print(f"Found {len(entries)} items")
        _print_entries(call, entries)


async def _walk(call: Call, found: Found) -> AsyncIterator[Found]:
    async for status in call.files.below(found.status.url, order=lambda children: _ordered(call, children)):
        yield found.below(status)


def _ordered(call: Call, entries: list[Status]) -> list[Status]:
    """By name, or with -t and -S the newest or the largest first; -r turns the order round."""
    reverse = "r" in call.options
    if "t" in call.options:
        return sorted(entries, key=lambda entry: entry.modified_ms, reverse=not reverse)
    if "S" in call.options:
        return sorted(entries, key=lambda entry: entry.size_bytes, reverse=not reverse)
    return entries[::-1] if reverse else entries


def _print_entries(call: Call, entries: Sequence[Found]) -> None:
    if "C" in call.options:
        for entry in entries:
            print(entry.shown)
        return
    rows = [(entry, _size(call, entry.status.size_bytes)) for entry in entries]
    owners = [(entry.status.owner or call.resolve.user, entry.status.group or call.resolve.user) for entry in entries]
    length = max([_LENGTH_WIDTH, *(len(size) for _, size in rows)])
    owner_width = max([0, *(len(owner) for owner, _ in owners)])
    group_width = max([0, *(len(group) for _, group in owners)])
    for (entry, size), (owner, group) in zip(rows, owners, strict=True):
        status = entry.status
        replication = "-" if status.is_directory else "1"
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(status.modified_ms / 1000))
        print(
            f"{_mode(status)} {replication:>{_REPLICATION_WIDTH}} {owner:<{owner_width}} {group:<{group_width}} "
            f"{size:>{length}} {moment} {entry.shown}"
        )


def _mode(status: Status) -> str:
    return ("d" if status.is_directory else "-") + _permissions(status)


def _permissions(status: Status) -> str:
    return "".join(letter if status.mode >> 8 - place & 1 else "-" for place, letter in enumerate("rwxrwxrwx"))


def _size(call: Call, size_bytes: int) -> str:
    if "h" not in call.options:
        return str(size_bytes)
    value, unit = float(size_bytes), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else str(size_bytes)


async def test(call: Call) -> None:
    """Status 0 when it is so of all that the path names, else 1; says nothing of a path that does not exist."""
    if len(call.options) != 1:
        raise HadoopUsage("Only one test flag is allowed" if call.options else "No test flag given")
    (asked,) = call.options
    text = call.paths[0]
    matched = await call.files.match(call.resolve.url(text))
    if not matched and is_pattern(text):
        raise PathProblem(text, NO_SUCH)
    call.status = 0 if matched and all(map(_TESTS[asked], matched)) else 1


_TESTS: dict[str, Callable[[Status], bool]] = {
    "e": lambda _: True,
    "d": lambda status: status.is_directory,
    "f": lambda status: not status.is_directory,
    "z": lambda status: not status.is_directory and status.size_bytes == 0,
    "s": lambda status: status.is_directory or status.size_bytes > 0,
    "r": lambda status: bool(status.mode & 0o444),
    "w": lambda status: bool(status.mode & 0o222),
}


async def du(call: Call) -> None:
    """Size, size with all copies (here the same), path; of what lies right below a directory."""
    rows: list[tuple[int, str]] = []
    async for found in call.each(call.paths or (HERE,)):
        entries = [found]
        if found.status.is_directory and "s" not in call.options and call.verb != "dus":
            entries = [found.below(child) for child in await call.files.children(found.status.url)]
        for entry in entries:
            size, _, _ = await _measure(call, entry.status)
            rows.append((size, entry.shown))
    table = [(_size(call, size), shown) for size, shown in rows]
    width = max([0, *(len(size) for size, _ in table)])
    for text_size, shown in table:
        print(f"{text_size:<{width}}  {text_size:<{width}}  {shown}")


async def count(call: Call) -> None:
    """Directories, files, bytes, path."""
    if "v" in call.options:
        print(f"{'DIR_COUNT':>12} {'FILE_COUNT':>12} {'CONTENT_SIZE':>18} PATHNAME")
    async for found in call.each(call.paths):
        size, directories, files = await _measure(call, found.status)
        print(f"{directories:>12} {files:>12} {_size(call, size):>18} {found.shown}")


async def stat(call: Call) -> None:
    """The time of change, in UTC, or what a format asks for."""
    has_format = "%" in call.paths[0]
    form, paths = (call.paths[0], call.paths[1:]) if has_format else ("%y", call.paths)
    for letter in _STAT.findall(form):
        if letter not in _STAT_LETTERS or not letter:
            raise HadoopUsage(f"Apollo does not know %{letter}; it knows %{', %'.join(_STAT_LETTERS)}")
    async for found in call.each(paths):
        shown = _stat_values(call, found.status)
        print("".join(shown[part] if odd else part for part, odd in zip(_STAT.split(form), cycle((False, True)))))


def _stat_values(call: Call, status: Status) -> dict[str, str]:
    return {
        "a": f"{status.mode:o}",
        "A": _permissions(status),
        "b": str(status.size_bytes),
        "F": "directory" if status.is_directory else "regular file",
        "g": status.group or call.resolve.user,
        "n": status.name,
        "o": "0" if status.is_directory else str(DEFAULT_BLOCK_BYTES),
        "r": "0" if status.is_directory else "1",
        "u": status.owner or call.resolve.user,
        "y": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(status.modified_ms / 1000)),
        "Y": str(status.modified_ms),
        "%": "%",
    }


async def _measure(call: Call, status: Status) -> tuple[int, int, int]:
    """Bytes, directories and files of a path and all below it."""
    if not status.is_directory:
        return status.size_bytes, 0, 1
    size, directories, files = 0, 1, 0
    async for below in call.files.below(status.url):
        size += 0 if below.is_directory else below.size_bytes
        directories += below.is_directory
        files += not below.is_directory
    return size, directories, files
