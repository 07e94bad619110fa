"""Verbs that show what files hold: -cat, -text, -head, -tail."""

import bz2
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from apollo_client.hadoop.files.port import IS_DIRECTORY, PathProblem
from apollo_client.hadoop.fs.call import Call, Found
from apollo_common.errors import ApolloError
from apollo_common.threads import in_thread

END_BYTES = 1 << 10  # of a file, that -head and -tail show
_GZIP_WINDOW = 31
_SEQUENCE_FILE = b"SEQ"


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


async def tail(call: Call) -> None:
    """The last KiB of a file."""
    await _show_end(call, lambda size_bytes: max(0, size_bytes - END_BYTES))


async def head(call: Call) -> None:
    """The first KiB of a file."""
    await _show_end(call, lambda _: 0)


async def _show_end(call: Call, start_of: Callable[[int], int]) -> None:
    for found in await call.find(call.paths[0]):
        start = start_of(found.status.size_bytes)
        async for chunk in content_of(call, found, offset=start, length_bytes=END_BYTES):
            await in_thread(sys.stdout.buffer.write, chunk)
    sys.stdout.flush()


async def content_of(
    call: Call, found: Found, *, offset: int = 0, length_bytes: int | None = None
) -> AsyncIterator[bytes]:
    """What scripts take for data: nothing of a marker, whatever manifest it holds. PathProblem for a directory."""
    if found.is_marker:
        return
    async for chunk in bytes_of(call, found, offset=offset, length_bytes=length_bytes):
        yield chunk


async def bytes_of(
    call: Call, found: Found, *, offset: int = 0, length_bytes: int | None = None
) -> AsyncIterator[bytes]:
    """All that a file holds, also a marker. PathProblem for a directory."""
    if found.status.is_directory:
        raise PathProblem(found.shown, IS_DIRECTORY)
    url = found.status.url
    async for chunk in call.files.of(url).read(url, offset=offset, length_bytes=length_bytes):
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
