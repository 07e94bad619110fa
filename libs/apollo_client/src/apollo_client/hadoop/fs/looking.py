"""Verbs that only look: -ls, -cat, -text, -test, -du, -count."""

import bz2
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from apollo_client.hadoop.files.port import IS_DIRECTORY, PathProblem, Status
from apollo_client.hadoop.fs.call import Call, Found
from apollo_common.errors import ApolloError
from apollo_common.threads import in_thread

_GZIP_WINDOW = 31
_UNITS = " KMGTPE"
_LENGTH_WIDTH, _REPLICATION_WIDTH = 10, 3
_SEQUENCE_FILE = b"SEQ"


async def ls(call: Call) -> None:
    recursive = bool(call.options & {"R"}) or call.verb == "lsr"
    for text in call.paths or (".",):
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
        entries = [found.below(child) for child in await call.files.children(found.status.url)]
        if entries and "C" not in call.options:
            print(f"Found {len(entries)} items")
        _print_entries(call, entries)


async def _walk(call: Call, found: Found) -> AsyncIterator[Found]:
    prefix = len(found.status.url)
    async for status in call.files.below(found.status.url):
        yield Found(status, found.shown.rstrip("/") + status.url[prefix:])


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
    letters = "".join(letter if status.mode >> 8 - place & 1 else "-" for place, letter in enumerate("rwxrwxrwx"))
    return ("d" if status.is_directory else "-") + letters


def _size(call: Call, size_bytes: int) -> str:
    if "h" not in call.options:
        return str(size_bytes)
    value, unit = float(size_bytes), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else str(size_bytes)


async def cat(call: Call) -> None:
    async for found in call.each(call.paths):
        try:
            async for chunk in content_of(call, found):
                await in_thread(sys.stdout.buffer.write, chunk)
        except ApolloError as error:
            call.failed(error)
    sys.stdout.flush()


async def text(call: Call) -> None:
    """As -cat, but what is compressed comes out plain."""
    async for found in call.each(call.paths):
        try:
            async for chunk in _plain(found, content_of(call, found)):
                await in_thread(sys.stdout.buffer.write, chunk)
        except ApolloError as error:
            call.failed(error)
        except BrokenPipeError:  # whoever read our output has left
            raise
        except (OSError, zlib.error) as error:
            call.failed(PathProblem(found.shown, f"cannot be decompressed: {error}"))
    sys.stdout.flush()


async def content_of(call: Call, found: Found) -> AsyncIterator[bytes]:
    """PathProblem for a directory."""
    if found.status.is_directory:
        raise PathProblem(found.shown, IS_DIRECTORY)
    async for chunk in call.files.of(found.status.url).read(found.status.url):
        yield chunk


async def _plain(found: Found, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    name = found.status.name
    make: Callable[[], Any] | None = None
    if name.endswith(".gz"):
        make = _gzip_decoder
    elif name.endswith(".bz2"):
        make = bz2.BZ2Decompressor
    decoder, first = None, True
    async for chunk in content:
        if first and chunk.startswith(_SEQUENCE_FILE) and make is None:
            raise PathProblem(found.shown, "is a SequenceFile, which Apollo cannot read")
        first = False
        if make is None:
            yield chunk
        while make is not None and chunk:
            decoder = decoder or make()
            yield await in_thread(decoder.decompress, chunk)
            # What follows the end of one compressed stream begins the next.
            chunk = decoder.unused_data  # noqa: PLW2901
            decoder = None if decoder.eof else decoder


def _gzip_decoder() -> Any:
    return zlib.decompressobj(_GZIP_WINDOW)


async def test(call: Call) -> None:
    """Status 0 when it is so, else 1; says nothing."""
    status = await call.status_of(call.paths[0])
    asked = next(iter(call.options), "e")
    if status is None:
        call.status = 1
        return
    holds = {
        "e": True,
        "d": status.is_directory,
        "f": not status.is_directory,
        "z": not status.is_directory and status.size_bytes == 0,
        "s": status.is_directory or status.size_bytes > 0,
        "r": status.mode & 0o444,
        "w": status.mode & 0o222,
    }[asked]
    call.status = 0 if holds else 1


async def du(call: Call) -> None:
    """Size, size with all copies (here the same), path; of what lies right below a directory."""
    rows: list[tuple[int, str]] = []
    async for found in call.each(call.paths or (".",)):
        entries = [found]
        if found.status.is_directory and "s" not in call.options:
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
    async for found in call.each(call.paths):
        size, directories, files = await _measure(call, found.status)
        print(f"{directories:>12} {files:>12} {size:>18} {found.shown}")


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
