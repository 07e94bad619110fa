"""Reads a split: object store -> decoder -> cutter -> blocks of whole records."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from apollo_common.assignment import Split, SplitPiece
from apollo_common.errors import PermanentError
from apollo_common.storage.open import StoreOpener
from apollo_common.storage.port import ObjectStore, StorageAccess
from apollo_worker.core.columns import RecordBlock
from apollo_worker.input.codec import decoded
from apollo_worker.input.cutter import Extent, InputLimits, RecordCutter
from apollo_worker.input.lines import LineCutter
from apollo_worker.input.prefetch import prefetched
from apollo_worker.input.sized import FixedCutter, WholeCutter

FIRST_OVERRUN_BYTES = 64 << 10  # read at once behind a piece's end, for its last line; doubled until the line ends
MAX_OVERRUN_BYTES = 8 << 20


class SplitReader:
    """Reads one split once. `input_bytes` says how far it is; it ends at the split's size."""

    def __init__(
        self, stores: StoreOpener, split: Split, access: StorageAccess, limits: InputLimits | None = None
    ) -> None:
        self.input_bytes = 0
        self._stores = stores
        self._split = split
        self._access = access
        self._limits = limits or InputLimits()

    async def blocks(self) -> AsyncGenerator[RecordBlock, None]:
        """The split's records, in order. Close it (contextlib.aclosing) when it is not read to its end.

        ObjectNotFound, InputChanged, InputCorrupt, RecordTooLarge, and what the store raises.
        """
        for piece in self._split.pieces:
            async with aclosing(self._piece(piece)) as blocks:
                async for block in blocks:
                    yield block

    async def _piece(self, piece: SplitPiece) -> AsyncGenerator[RecordBlock, None]:
        before_bytes = self.input_bytes
        cutter = make_cutter(self._split.format, piece, self._limits)
        store = await self._stores.open(piece.url, self._access)
        async with aclosing(prefetched(self._chunks(store, piece, cutter))) as chunks:
            async for chunk in chunks:
                for block in cutter.feed(chunk):
                    self._count_owned(piece, cutter, before_bytes)
                    yield block
                if cutter.done:
                    break
            else:
                for block in cutter.finish():
                    yield block
        self.input_bytes = before_bytes + piece.length_bytes

    def _count_owned(self, piece: SplitPiece, cutter: RecordCutter, before_bytes: int) -> None:
        """Progress within a plain piece; a compressed one counts what was read of it."""
        if not piece.codec:
            self.input_bytes = before_bytes + min(piece.length_bytes, cutter.owned_bytes)

    def _chunks(self, store: ObjectStore, piece: SplitPiece, cutter: RecordCutter) -> AsyncGenerator[bytes, None]:
        if piece.codec:
            return decoded(self._read(store, piece, 0, piece.object_size_bytes), piece.codec, piece.url)
        return self._read_on(store, piece, cutter)

    async def _read_on(
        self, store: ObjectStore, piece: SplitPiece, cutter: RecordCutter
    ) -> AsyncGenerator[bytes, None]:
        """A plain piece, then on in growing steps, since its last record may end far behind it."""
        start, overrun_bytes = cutter.first_byte, FIRST_OVERRUN_BYTES
        stop = piece.offset + piece.length_bytes + overrun_bytes
        while start < piece.object_size_bytes and not cutter.done:
            stop = min(stop, piece.object_size_bytes)
            async for chunk in self._read(store, piece, start, stop):
                yield chunk
            overrun_bytes = min(2 * overrun_bytes, MAX_OVERRUN_BYTES)
            start, stop = stop, stop + overrun_bytes

    async def _read(self, store: ObjectStore, piece: SplitPiece, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        chunks = store.read(piece.url, offset=start, length_bytes=stop - start, version=piece.version)
        async for chunk in chunks:
            if piece.codec:
                self.input_bytes += len(chunk)
            yield chunk


def make_cutter(record_format: str, piece: SplitPiece, limits: InputLimits) -> RecordCutter:
    """The cutter for `lines`, `fixed:N` or `whole`. PermanentError for another format."""
    end = None if piece.codec else piece.offset + piece.length_bytes
    extent = Extent(piece.url, piece.offset, end)
    if record_format == "lines":
        return LineCutter(extent, limits)
    if record_format == "whole":
        return WholeCutter(extent, limits)
    kind, _, length = record_format.partition(":")
    if kind == "fixed" and length.isascii() and length.isdigit() and int(length) > 0:
        return FixedCutter(extent, limits, int(length))
    raise PermanentError(f"{record_format!r} is no record format: use lines, fixed:N or whole")
