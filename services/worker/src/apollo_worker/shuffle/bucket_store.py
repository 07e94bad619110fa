"""Map outputs as objects, for clusters without a shared volume: the same two files, below a prefix of a bucket.

An attempt writes them on its worker's own disk and uploads them when they are whole. No rename commits them: keys are
the attempt's own, and a reduce is told the attempts that were accepted. A reduce copies its partition's ranges to its
own disk, a few at once, and merges from there: requests are few and large, memory does not grow with the partition.
They come to lie in several files, so that those which a pass of the merge has read make room for what it writes.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from apollo_common.assignment import DATA_FILE, INDEX_FILE, MapOutputRef, PartUpload
from apollo_common.errors import ApolloError, ObjectNotFound, PermanentError
from apollo_common.lifecycle import opened, to_the_end
from apollo_common.parallel import each
from apollo_common.storage.port import ObjectStore
from apollo_common.threads import in_thread
from apollo_worker.shuffle.disk import SCRATCH, Space, disk_errors
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
FETCHED_FILES = 16  # of a partition, of about the same size
INDEX_HEAD_BYTES = 64 << 10  # of an index, read at once at most: it may be all that a partition needs
LEAST_INDEX_HEAD_BYTES = 4 << 10  # a shorter one is read no faster
DISCARD_SECONDS = 5.0  # a cancelled attempt does not wait longer for a store; its job's clean-up does
_WRITER = "apollo-map-output"  # metadata: tells a completed upload, whose answer got lost, from one that is gone


@dataclass(frozen=True, slots=True)
class _Piece:
    """Consecutive bytes of a data object, and where they go."""

    url: str
    offset: int
    length_bytes: int
    file: Path
    position: int
    failed: Callable[[str], ApolloError]


class BucketStore:
    """See apollo_worker.shuffle.store.MapOutputStore."""

    def __init__(self, store: ObjectStore, url: str, local: Path, limit_bytes: int = sys.maxsize) -> None:
        """`url` is the prefix, without a trailing slash. `local`: a directory on the worker's own disk.

        `limit_bytes` bounds a map output; what a reduce may fetch is its scratch space's to say.
        """
        self._store = store
        self._url = url
        self._local = local
        self._limit_bytes = limit_bytes

    def space(self) -> Space:
        return Space(SCRATCH, self._limit_bytes)

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
        indexes = await self._indexes(outputs, partition)
        directory = await in_thread(scratch.directory)
        pieces, runs = await in_thread(self._laid_out, outputs, indexes, directory)
        await self._fetch(pieces, scratch.space)
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

    async def _indexes(self, outputs: Sequence[MapOutputRef], partition: int) -> dict[MapOutputRef, PartitionIndex]:
        """A partition's part of each output's index. How much of them is read at once, the first one shows: in those of
        many reduces the part lies far from the start, and heads would come to more than the pairs do.
        """
        indexes: dict[MapOutputRef, PartitionIndex] = {}
        head_bytes, end = INDEX_HEAD_BYTES, 0

        async def read_index(output: MapOutputRef) -> None:
            nonlocal end
            indexes[output], end = await self._index(output, partition, head_bytes)

        await each(outputs[:1], read_index, at_once=1)
        head_bytes = max(2 * end, LEAST_INDEX_HEAD_BYTES) if 2 * end <= INDEX_HEAD_BYTES else 0
        await each(outputs[1:], read_index, at_once=FETCHES_AT_ONCE)
        return indexes

    async def _index(self, output: MapOutputRef, partition: int, head_bytes: int) -> tuple[PartitionIndex, int]:
        """A partition's part of an index, and where it ends there. It is read out of the head if it lies in it."""
        url, failed = self._object(output.path, INDEX_FILE), fetch_failure(output)
        head = await self._read(url, 0, head_bytes, failed) if head_bytes else b""

        async def read(offset: int, length_bytes: int) -> bytes:
            if offset + length_bytes <= len(head):
                return head[offset : offset + length_bytes]
            content = await self._read(url, offset, length_bytes, failed)
            if len(content) < length_bytes:
                raise failed(f"{INDEX_FILE} is shorter than {offset + length_bytes} bytes")
            return content

        entry = await read(*entry_range(partition))
        offset, length_bytes = block_range(entry)
        try:
            return decode_partition(partition, entry, await read(offset, length_bytes)), offset + length_bytes
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
        self, outputs: Sequence[MapOutputRef], indexes: Mapping[MapOutputRef, PartitionIndex], directory: Path
    ) -> tuple[list[_Piece], list[Run]]:
        """What to fetch, one behind the other in a few files, and the runs that are then there."""
        total_bytes = sum(int(index.entries["length_bytes"].sum()) for index in indexes.values())
        pieces: list[_Piece] = []
        runs: list[Run] = []
        number = position = 0
        for output in outputs:
            for run in split_runs(directory, indexes[output], fetch_failure(output)):
                if position * FETCHED_FILES >= total_bytes:
                    number, position = number + 1, 0
                file = directory / f"fetched-{number}.arrow"
                piece, placed = _placed(run, self._object(output.path, DATA_FILE), file, position)
                position += piece.length_bytes
                pieces.append(piece)
                runs.append(placed)
        return pieces, runs

    async def _fetch(self, pieces: Sequence[_Piece], space: Space) -> None:
        """All pieces into their files, whose space is reserved first."""
        sizes_bytes = {piece.file: piece.position + piece.length_bytes for piece in pieces}
        space.take(sum(sizes_bytes.values()))
        descriptors: dict[Path, int] = {}

        async def fetch(piece: _Piece) -> None:
            position, end = piece.position, piece.position + piece.length_bytes
            chunks = self._store.read(piece.url, offset=piece.offset, length_bytes=piece.length_bytes)
            try:
                async with aclosing(chunks):
                    async for chunk in chunks:
                        await in_thread(_write_at, descriptors[piece.file], chunk, position)
                        position += len(chunk)
            except ObjectNotFound:
                raise piece.failed(f"{piece.url} is missing") from None
            if position < end:
                raise piece.failed(f"{DATA_FILE} is shorter than {piece.offset + piece.length_bytes} bytes")

        async with AsyncExitStack() as open_files:
            for file, size_bytes in sizes_bytes.items():
                descriptors[file] = await opened(in_thread(_reserve, file, size_bytes), _close)
                open_files.push_async_callback(_close, descriptors[file])
            await each(pieces, fetch, at_once=FETCHES_AT_ONCE)

    def _object(self, path: str, name: str) -> str:
        return f"{self._url}/{path}/{name}"


def _placed(run: Run, url: str, file: Path, position: int) -> tuple[_Piece, Run]:
    """What to fetch of a run, whose batches lie one behind the other, and the run as it will lie in `file`."""
    first, last = run.entries[0], run.entries[-1]
    start, end = int(first["offset"]), int(last["offset"]) + int(last["length_bytes"])
    entries = run.entries.copy()
    entries["offset"] -= np.uint64(start)
    entries["offset"] += np.uint64(position)
    return _Piece(url, start, end - start, file, position, run.failed), replace(run, path=file, entries=entries)


def _read_piece(file: Path, offset: int, length_bytes: int) -> bytes:
    with file.open("rb") as opened_file:
        opened_file.seek(offset)
        return opened_file.read(length_bytes)


def _reserve(file: Path, size_bytes: int) -> int:
    """A descriptor of a new file of this size. VolumeFull when it does not fit the disk, before anything is fetched."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with disk_errors(SCRATCH):
            os.posix_fallocate(descriptor, 0, size_bytes)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


async def _close(descriptor: int) -> None:
    await in_thread(os.close, descriptor)


def _write_at(descriptor: int, content: bytes, offset: int) -> None:
    left = memoryview(content)
    with disk_errors(SCRATCH):
        while left:
            written = os.pwrite(descriptor, left, offset)
            left, offset = left[written:], offset + written
