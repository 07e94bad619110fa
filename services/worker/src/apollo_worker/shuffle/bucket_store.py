"""Map outputs as objects, for clusters without a shared volume: the same two files, below a prefix of a bucket.

An attempt writes them on its worker's own disk and uploads them when they are whole. No rename commits them: keys are
the attempt's own, and a reduce is told the attempts that were accepted. A reduce copies its partition's ranges to its
own disk, a few at once, and merges from there: requests are few and large, memory does not grow with the partition.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from apollo_common.assignment import MapOutputRef, PartUpload
from apollo_common.errors import ApolloError, ObjectNotFound, PermanentError
from apollo_common.lifecycle import opened, to_the_end
from apollo_common.parallel import each
from apollo_common.storage.port import ObjectStore
from apollo_common.threads import in_thread
from apollo_worker.shuffle.disk import SCRATCH, Disk, disk_errors
from apollo_worker.shuffle.map_output import DATA_FILE, INDEX_FILE
from apollo_worker.shuffle.scratch import Scratch
from apollo_worker.shuffle.segment_index import (
    IndexDamaged,
    PartitionIndex,
    block_range,
    decode_partition,
    entry_range,
)
from apollo_worker.shuffle.segments import Run, SegmentReader, fetch_failure, split_runs

PIECE_BYTES = 8 << 20  # of an upload; a file of one piece is put at once
MAX_PIECES = 10_000  # that S3 takes; larger files have larger pieces
PIECES_AT_ONCE = 4  # each is in memory
FETCHES_AT_ONCE = 8  # each has a chunk of at most 1 MiB in memory
INDEX_HEAD_BYTES = 64 << 10  # of an index, read at once: in most cases all that a partition needs
DISCARD_SECONDS = 5.0  # a cancelled attempt does not wait longer for a store; its job's clean-up does
_WRITER = "apollo-map-output"  # metadata: tells a completed upload, whose answer got lost, from one that is gone


@dataclass(frozen=True, slots=True)
class _Piece:
    """Consecutive bytes of a data object, and where they go in the fetched file."""

    url: str
    offset: int
    length_bytes: int
    position: int
    failed: Callable[[str], ApolloError]


class BucketStore:
    """See apollo_worker.shuffle.store.MapOutputStore."""

    def __init__(self, store: ObjectStore, url: str, local: Path, limit_bytes: int = SCRATCH.limit_bytes) -> None:
        """`url` is the prefix, without a trailing slash. `local`: a directory on the worker's own disk."""
        self._store = store
        self._url = url
        self._local = local
        self._disk = replace(SCRATCH, limit_bytes=limit_bytes)

    @property
    def disk(self) -> Disk:
        return self._disk

    def directory(self, path: str) -> Path:
        return self._local / path.replace("/", "-")

    async def publish(self, path: str) -> None:
        files = [self.directory(path) / name for name in (DATA_FILE, INDEX_FILE)]
        try:
            for file in files:
                await self._upload(file, self._object(path, file.name), path)
            await in_thread(shutil.rmtree, self.directory(path))
        except BaseException:
            await to_the_end(self._discard(path))
            raise

    async def runs(
        self,
        outputs: Sequence[MapOutputRef],
        partition: int,
        reader: SegmentReader,  # noqa: ARG002 - reads what is fetched here
        scratch: Scratch,
    ) -> list[Run]:
        indexes: dict[MapOutputRef, PartitionIndex] = {}

        async def read_index(output: MapOutputRef) -> None:
            indexes[output] = await self._index(output, partition)

        await each(outputs, read_index, at_once=FETCHES_AT_ONCE)
        file = await in_thread(scratch.directory) / "fetched.arrow"
        pieces, runs = await in_thread(self._laid_out, outputs, indexes, file)
        await self._fetch(pieces, file)
        return runs

    async def _upload(self, file: Path, url: str, path: str) -> None:
        size_bytes = (await in_thread(file.stat)).st_size
        if size_bytes <= PIECE_BYTES:
            await self._store.put(url, await in_thread(file.read_bytes))
            return
        piece_bytes = max(PIECE_BYTES, -(-size_bytes // MAX_PIECES))
        upload = await self._store.create_upload(url, metadata={_WRITER: path})
        parts: list[PartUpload] = []

        async def send(number: int) -> None:
            content = await in_thread(_read_piece, file, (number - 1) * piece_bytes, piece_bytes)
            parts.append(await self._store.upload_part(upload, number, content))

        await each(range(1, -(-size_bytes // piece_bytes) + 1), send, at_once=PIECES_AT_ONCE)
        await self._store.complete_upload(upload, parts)

    async def _discard(self, path: str) -> None:
        """Remove what there is of an output, uploads that nobody has heard of included. The rest goes with its job."""
        with suppress(ApolloError, TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                with suppress(PermanentError):  # some stores cannot list uploads, or do not let us
                    for upload in await self._store.list_uploads(f"{self._url}/{path}/"):
                        await self._store.abort_upload(upload)
                await self._store.delete([self._object(path, name) for name in (DATA_FILE, INDEX_FILE)])

    async def _index(self, output: MapOutputRef, partition: int) -> PartitionIndex:
        url, failed = self._object(output.path, INDEX_FILE), fetch_failure(output)
        head = await self._read(url, 0, INDEX_HEAD_BYTES, failed)

        async def read(offset: int, length_bytes: int) -> bytes:
            if offset + length_bytes <= len(head):
                return head[offset : offset + length_bytes]
            content = await self._read(url, offset, length_bytes, failed)
            if len(content) < length_bytes:
                raise failed(f"{INDEX_FILE} is shorter than {offset + length_bytes} bytes")
            return content

        entry = await read(*entry_range(partition))
        try:
            return decode_partition(partition, entry, await read(*block_range(entry)))
        except IndexDamaged:
            raise failed("its index is damaged") from None

    async def _read(self, url: str, offset: int, length_bytes: int, failed: Callable[[str], ApolloError]) -> bytes:
        """Up to `length_bytes`: less where the object ends."""
        try:
            async with aclosing(self._store.read(url, offset=offset, length_bytes=length_bytes)) as chunks:
                return b"".join([chunk async for chunk in chunks])
        except ObjectNotFound:
            raise failed(f"{url} is missing") from None

    def _laid_out(
        self, outputs: Sequence[MapOutputRef], indexes: Mapping[MapOutputRef, PartitionIndex], file: Path
    ) -> tuple[list[_Piece], list[Run]]:
        """What to fetch, one behind the other in `file`, and the runs that are then there."""
        pieces: list[_Piece] = []
        runs: list[Run] = []
        position = 0
        for output in outputs:
            for run in split_runs(file, indexes[output], fetch_failure(output)):
                piece, placed = _placed(run, self._object(output.path, DATA_FILE), position)
                position += piece.length_bytes
                pieces.append(piece)
                runs.append(placed)
        return pieces, runs

    async def _fetch(self, pieces: Sequence[_Piece], file: Path) -> None:
        """All pieces into one file, whose space is reserved first."""
        size_bytes = pieces[-1].position + pieces[-1].length_bytes if pieces else 0
        self._disk.check(size_bytes)
        descriptor = await opened(in_thread(_reserve, file, size_bytes, self._disk), _close)

        async def fetch(piece: _Piece) -> None:
            position, end = piece.position, piece.position + piece.length_bytes
            chunks = self._store.read(piece.url, offset=piece.offset, length_bytes=piece.length_bytes)
            try:
                async with aclosing(chunks):
                    async for chunk in chunks:
                        await in_thread(_write_at, descriptor, chunk, position, self._disk)
                        position += len(chunk)
            except ObjectNotFound:
                raise piece.failed(f"{piece.url} is missing") from None
            if position < end:
                raise piece.failed(f"{DATA_FILE} is shorter than {piece.offset + piece.length_bytes} bytes")

        try:
            await each(pieces, fetch, at_once=FETCHES_AT_ONCE)
        finally:
            await _close(descriptor)

    def _object(self, path: str, name: str) -> str:
        return f"{self._url}/{path}/{name}"


def _placed(run: Run, url: str, position: int) -> tuple[_Piece, Run]:
    """What to fetch of a run, whose batches lie one behind the other, and the run as it will lie at `position`."""
    first, last = run.entries[0], run.entries[-1]
    start, end = int(first["offset"]), int(last["offset"]) + int(last["length_bytes"])
    entries = run.entries.copy()
    entries["offset"] -= np.uint64(start)
    entries["offset"] += np.uint64(position)
    return _Piece(url, start, end - start, position, run.failed), replace(run, entries=entries)


def _read_piece(file: Path, offset: int, length_bytes: int) -> bytes:
    with file.open("rb") as opened_file:
        opened_file.seek(offset)
        return opened_file.read(length_bytes)


def _reserve(file: Path, size_bytes: int, disk: Disk) -> int:
    """A descriptor of a new file of this size. VolumeFull when it does not fit the disk, before anything is fetched."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with disk_errors(disk):
            if size_bytes:
                os.posix_fallocate(descriptor, 0, size_bytes)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


async def _close(descriptor: int) -> None:
    await in_thread(os.close, descriptor)


def _write_at(descriptor: int, content: bytes, offset: int, disk: Disk) -> None:
    left = memoryview(content)
    with disk_errors(disk):
        while left:
            written = os.pwrite(descriptor, left, offset)
            left, offset = left[written:], offset + written
