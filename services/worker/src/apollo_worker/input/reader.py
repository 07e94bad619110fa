"""Reads a split: object store -> decoder -> cutter -> blocks of whole records."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial

from apollo_common.assignment import Split, SplitPiece
from apollo_common.errors import PermanentError
from apollo_common.lifecycle import to_the_end
from apollo_common.record_format import RecordFormat, WrongRecordFormat, parse_record_format
from apollo_common.storage.open import StoreOpener
from apollo_common.storage.port import ObjectStore, StorageAccess
from apollo_common.threads import in_thread
from apollo_worker.core.columns import RecordBlock
from apollo_worker.input.codec import decoded
from apollo_worker.input.cutter import Extent, InputLimits, RecordCutter
from apollo_worker.input.formats import look_back, make_cutter
from apollo_worker.input.prefetch import prefetched
from apollo_worker.input.read_ahead import ReadAhead
from apollo_worker.input.scanner import Beginning, LookBack

FIRST_OVERRUN_BYTES = 64 << 10  # read at once behind a piece's end, for its last line; doubled until the line ends
MAX_OVERRUN_BYTES = 8 << 20
FIRST_LOOK_BACK_BYTES = 64 << 10  # read before a piece's start; mostly enough
LOOK_BACK_OVERLAP_BYTES = 1 << 10  # of two windows, for what lies across their border

Read = Callable[[int, int], AsyncGenerator[bytes, None]]
"""The bytes of an object from the first offset to the second."""


class SplitReader:
    """See RecordReader. Reads one split."""

    def __init__(
        self, stores: StoreOpener, split: Split, access: StorageAccess, limits: InputLimits | None = None
    ) -> None:
        self.input_bytes = 0
        self._stores = stores
        self._split = split
        self._access = access
        self._limits = limits or InputLimits()

    @property
    def size_bytes(self) -> int:
        return self._split.size_bytes

    async def blocks(self) -> AsyncGenerator[RecordBlock, None]:
        """The split's records, in order. Close it (contextlib.aclosing) when it is not read to its end.

        ObjectNotFound, InputChanged, InputCorrupt, RecordTooLarge, and what the store raises.
        """
        record_format = _format(self._split)
        ahead = ReadAhead(self._split.pieces, self._fetch)
        try:
            for number, piece in enumerate(self._split.pieces):
                content = await ahead.take(number)
                async with aclosing(self._piece(piece, record_format, content)) as blocks:
                    async for block in blocks:
                        yield block
                        del block  # it may be one large record, and the next one is being read
        finally:
            await to_the_end(ahead.close())

    async def _piece(
        self, piece: SplitPiece, record_format: RecordFormat, content: bytes | None
    ) -> AsyncGenerator[RecordBlock, None]:
        """`content` is the whole object, where it is there already."""
        before_bytes = self.input_bytes
        store = await self._stores.open(piece.url, self._access)
        backward = look_back(record_format) if piece.offset else None
        beginning = await self._beginning(store, piece, backward) if backward is not None else None
        extent = Extent(piece.url, piece.offset, None if piece.codec else piece.offset + piece.length_bytes)
        cutter = make_cutter(record_format, extent, self._limits, beginning)
        read = partial(self._read, store, piece) if content is None else partial(self._read_content, piece, content)
        off_loop = cutter.takes_long and (content is None or bool(piece.codec))
        async with aclosing(prefetched(self._chunks(read, piece, cutter))) as chunks:
            async for chunk in chunks:
                for block in await in_thread(list, cutter.feed(chunk)) if off_loop else cutter.feed(chunk):
                    self._count_owned(piece, cutter, before_bytes)
                    yield block
                    del block
                if cutter.done:
                    break
            else:
                for block in await in_thread(list, cutter.finish()) if off_loop else cutter.finish():
                    yield block
                    del block
        self.input_bytes = before_bytes + piece.length_bytes

    def _count_owned(self, piece: SplitPiece, cutter: RecordCutter, before_bytes: int) -> None:
        """Progress within a plain piece; a compressed one counts what was read of it."""
        if not piece.codec:
            self.input_bytes = before_bytes + min(piece.length_bytes, cutter.owned_bytes)

    def _chunks(self, read: Read, piece: SplitPiece, cutter: RecordCutter) -> AsyncGenerator[bytes, None]:
        if piece.codec:
            return decoded(read(0, piece.object_size_bytes), piece.codec, piece.url)
        return self._read_on(read, piece, cutter)

    async def _read_on(self, read: Read, piece: SplitPiece, cutter: RecordCutter) -> AsyncGenerator[bytes, None]:
        """A plain piece, then on in growing steps, since its last record may end far behind it."""
        start, overrun_bytes = cutter.first_byte, FIRST_OVERRUN_BYTES
        stop = piece.offset + piece.length_bytes + overrun_bytes
        while start < piece.object_size_bytes and not cutter.done:
            stop = min(stop, piece.object_size_bytes)
            async for chunk in read(start, stop):
                yield chunk
            overrun_bytes = min(2 * overrun_bytes, MAX_OVERRUN_BYTES)
            start, stop = stop, stop + overrun_bytes

    async def _read(self, store: ObjectStore, piece: SplitPiece, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        if start == stop:  # of an empty object
            return
        chunks = store.read(piece.url, offset=start, length_bytes=stop - start, version=piece.version)
        async for chunk in chunks:
            if piece.codec:
                self.input_bytes += len(chunk)
            yield chunk

    async def _read_content(
        self, piece: SplitPiece, content: bytes, start: int, stop: int
    ) -> AsyncGenerator[bytes, None]:
        if piece.codec:
            self.input_bytes += stop - start
        if start < stop:
            yield content[start:stop]

    async def _fetch(self, piece: SplitPiece) -> bytes:
        store = await self._stores.open(piece.url, self._access)
        chunks = store.read(piece.url, length_bytes=piece.object_size_bytes, version=piece.version)
        return b"".join([chunk async for chunk in chunks]) if piece.object_size_bytes else b""

    async def _beginning(self, store: ObjectStore, piece: SplitPiece, backward: LookBack) -> Beginning:
        """Reads backward from a piece's start, one window after the other, until it is clear where to begin."""
        stop, size_bytes = piece.offset, FIRST_LOOK_BACK_BYTES
        while True:
            start = stop - size_bytes if stop - size_bytes > LOOK_BACK_OVERLAP_BYTES else 0
            chunks = store.read(piece.url, offset=start, length_bytes=stop - start, version=piece.version)
            window = b"".join([chunk async for chunk in chunks])
            found = await in_thread(backward.settle, window, whole=start == 0)
            if found is not None:
                return Beginning(start + found.offset, at_record=found.at_record)
            stop, size_bytes = min(stop, start + LOOK_BACK_OVERLAP_BYTES), backward.window_bytes


def _format(split: Split) -> RecordFormat:
    try:
        return parse_record_format(split.format)
    except WrongRecordFormat as error:
        raise PermanentError(f"{split.format!r} is no record format. {error.fix}") from error
