"""Compressed output. The same bytes in give the same bytes out: no time or name in a header."""

import bz2
import zlib
from collections.abc import Callable
from typing import Protocol

from backports import zstd

from apollo_common.errors import PermanentError

GZIP_LEVEL = 6
BZIP2_LEVEL = 9
ZSTD_LEVEL = 3


class Compressor(Protocol):
    def compress(self, data: bytes | memoryview) -> bytes: ...

    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: bytes | memoryview) -> bytes:
        return bytes(data)

    def flush(self) -> bytes:
        return b""


_COMPRESSORS: dict[str, Callable[[], Compressor]] = {
    "": _Plain,
    "gzip": lambda: zlib.compressobj(GZIP_LEVEL, wbits=31),
    "bzip2": lambda: bz2.BZ2Compressor(BZIP2_LEVEL),
    "zstd": lambda: zstd.ZstdCompressor(ZSTD_LEVEL),
}


def compressor(name: str) -> Compressor:
    """A new compressor for one part. PermanentError for an unknown name."""
    if name not in _COMPRESSORS:
        raise PermanentError(f"{name!r} is no compression: use gzip, bzip2 or zstd, or leave it out")
    return _COMPRESSORS[name]()
