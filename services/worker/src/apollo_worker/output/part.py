"""Writes one output part: formats, compresses, hashes, and uploads it piece by piece."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from apollo_common.assignment import PartUpload
from apollo_common.lifecycle import cancel_and_wait, to_the_end
from apollo_common.storage.port import ObjectStore, Upload
from apollo_common.threads import in_thread
from apollo_worker.core.columns import PairBatch
from apollo_worker.core.line_fields import TAB_SEPARATED
from apollo_worker.core.slices import SLICE_BYTES, bounded_slices
from apollo_worker.output.compress import compressor
from apollo_worker.output.format import formatter

FIRST_PIECE_BYTES = 8 << 20  # S3 takes no less than 5 MiB for all pieces but the last
PIECES_OF_ONE_SIZE = 1000  # S3 takes 10,000 pieces: with sizes that double now and then they hold 8 TiB
_NEWLINE = 10


@dataclass(frozen=True, slots=True)
class WrittenPart:
    """What the coordinator needs to publish the part. Sizes and hash are of the bytes as they lie in the store."""

    parts: tuple[PartUpload, ...]
    size_bytes: int
    records: int
    sha256: str


def piece_bytes(number: int) -> int:
    """The size of piece `number`, counted from 1."""
    return FIRST_PIECE_BYTES << ((number - 1) // PIECES_OF_ONE_SIZE)


class PartWriter:
    """The PairSink of an attempt that writes a part. One call at a time; end with `finish` or `abort`.

    Holds one piece that grows and one that is being uploaded.
    """

    def __init__(
        self,
        store: ObjectStore,
        upload: Upload,
        *,
        output_format: str,
        compression: str = "",
        separator: bytes = TAB_SEPARATED.separator,
    ) -> None:
        """PermanentError for an unknown format or compression. `separator`: of `text`, between key and value."""
        self._store = store
        self._upload = upload
        self._format = formatter(output_format, separator)
        self._compressor = compressor(compression)
        self._hash = hashlib.sha256()
        self._piece: list[bytes] = []
        self._piece_size_bytes = 0
        self._uploading: asyncio.Task[PartUpload] | None = None
        self._parts: list[PartUpload] = []
        self._size_bytes = 0
        self._records = 0

    async def pairs(self, batch: PairBatch) -> None:
        for piece in bounded_slices(batch):
            if piece.size_bytes <= SLICE_BYTES:
                await self._add(await in_thread(self._encode_pairs, piece))
            else:  # one large pair
                await self._add_in_slices(await in_thread(self._format, piece), self._encode)
        self._records += len(batch)

    async def raw(self, content: bytes | memoryview) -> None:
        """Bytes as they are; each line end in them counts as a record."""
        await self._add_in_slices(content, self._encode_raw)

    async def finish(self) -> WrittenPart:
        """Upload what is left; a part without content is one empty piece."""
        await self._add(await in_thread(self._encode_end))
        if self._piece_size_bytes or self._uploading is None:
            await self._start_upload()
        await self._finish_upload()
        return WrittenPart(tuple(self._parts), self._size_bytes, self._records, self._hash.hexdigest())

    @property
    def made_bytes(self) -> int:
        """What it holds so far, in memory and in the store."""
        return self._size_bytes

    @property
    def kept_bytes(self) -> int:
        """What of it lies in the store."""
        return sum(part.size_bytes for part in self._parts)

    async def abort(self) -> None:
        """Stop uploading. The upload itself is the coordinator's to discard."""
        if self._uploading is not None:
            await to_the_end(cancel_and_wait(self._uploading))
            self._uploading = None
        self._piece.clear()

    async def _add_in_slices(self, content: bytes | memoryview, encode: Callable[[memoryview], bytes]) -> None:
        view = memoryview(content).cast("B")
        for start in range(0, len(view), SLICE_BYTES):
            await self._add(await in_thread(encode, view[start : start + SLICE_BYTES]))

    async def _add(self, content: bytes) -> None:
        if content:
            self._piece.append(content)
            self._piece_size_bytes += len(content)
            self._size_bytes += len(content)
        if self._piece_size_bytes >= piece_bytes(len(self._parts) + 1):
            await self._start_upload()

    async def _start_upload(self) -> None:
        """Upload the piece in the background, once the one before it is there."""
        await self._finish_upload()
        content = b"".join(self._piece)
        self._piece, self._piece_size_bytes = [], 0
        number = len(self._parts) + 1
        self._uploading = asyncio.create_task(self._store.upload_part(self._upload, number, content))

    async def _finish_upload(self) -> None:
        if self._uploading is not None:
            self._parts.append(await self._uploading)
            self._uploading = None

    # In threads, one at a time: the compressor and the hash keep their state.

    def _encode_pairs(self, batch: PairBatch) -> bytes:
        return self._encode(self._format(batch))

    def _encode_raw(self, content: memoryview) -> bytes:
        self._records += int(np.count_nonzero(np.frombuffer(content, np.uint8) == _NEWLINE))
        return self._encode(content)

    def _encode(self, content: bytes | memoryview) -> bytes:
        encoded = self._compressor.compress(content)
        self._hash.update(encoded)
        return encoded

    def _encode_end(self) -> bytes:
        encoded = self._compressor.flush()
        self._hash.update(encoded)
        return encoded
