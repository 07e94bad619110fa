"""Compressed input, decoded as it streams: bounded memory however well the input is packed."""

import bz2
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from backports import zstd

from apollo_common.errors import InputCorrupt
from apollo_common.threads import in_thread

DECODED_CHUNK_BYTES = 1 << 20
INPUT_SLICE_BYTES = 32 << 10  # fed at once; small, because a finished member copies what it leaves of it
ZSTD_MAX_WINDOW_LOG = 27  # 128 MiB, what the zstd program accepts without being asked

_DECODING_ERRORS = (OSError, EOFError, zlib.error, zstd.ZstdError)


class _Member(Protocol):
    """One gzip member, bzip2 stream or zstd frame (the interface of bz2.BZ2Decompressor)."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _GzipMember:
    """zlib's decompressor with the interface of the other two."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        decoded = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        self.needs_input = not self._inflate.unconsumed_tail and len(decoded) < max_length
        return decoded


def _zstd_frame() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_MAX_WINDOW_LOG})


_MEMBERS: dict[str, Callable[[], _Member]] = {
    "gzip": _GzipMember,
    "bzip2": bz2.BZ2Decompressor,
    "zstd": _zstd_frame,
}


class Decoder:
    """Decodes any number of members one after the other. Not thread-safe: one call at a time."""

    def __init__(self, codec: str) -> None:
        self._new_member = _MEMBERS[codec]
        self._padding = b"\0" if codec == "gzip" else b""  # gzip files may be padded with zeros, as on tapes
        self._member: _Member | None = None
        self._chunk = b""
        self._at = 0  # how much of the chunk is used

    def feed(self, chunk: bytes) -> None:
        """More input. Only after `decode` has returned nothing."""
        self._chunk, self._at = chunk, 0

    def decode(self) -> bytes:
        """About DECODED_CHUNK_BYTES of output; none when more input is needed."""
        decoded: list[bytes] = []
        missing_bytes = DECODED_CHUNK_BYTES
        while missing_bytes > 0 and (piece := self._step(missing_bytes)) is not None:
            decoded.append(piece)
            missing_bytes -= len(piece)
        return b"".join(decoded)

    def finish(self) -> None:
        """EOFError when the input ended inside a member."""
        if self._member is not None:
            raise EOFError("the compressed data ends too early")

    def _step(self, max_bytes: int) -> bytes | None:
        """One call of the member's decoder; None when it needs more input than there is."""
        if self._member is None:
            while self._padding and self._chunk.startswith(self._padding, self._at):
                self._at += 1
            if self._at == len(self._chunk):
                return None
            self._member = self._new_member()
        data = b""
        if self._member.needs_input:
            if self._at == len(self._chunk):
                return None
            data = self._chunk[self._at : self._at + INPUT_SLICE_BYTES]
            self._at += len(data)
        decoded = self._member.decompress(data, max_bytes)
        if self._member.eof:
            self._at -= len(self._member.unused_data)  # always the end of the last slice
            self._member = None
        return decoded


async def decoded(chunks: AsyncGenerator[bytes, None], codec: str, url: str) -> AsyncGenerator[bytes, None]:
    """The decoded bytes of an object, in chunks of about 1 MiB. InputCorrupt names the object."""
    decoder = Decoder(codec)
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                decoder.feed(chunk)
                while piece := await in_thread(decoder.decode):
                    yield piece
        decoder.finish()
    except _DECODING_ERRORS as error:
        raise InputCorrupt(f"{url} is no valid {codec} data ({error}): check the file or its extension") from error
