"""Reads the segments of map outputs: finds a partition's batches in the index, reads and verifies them one by one."""

import errno
import os
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from apollo_common.assignment import DATA_FILE, INDEX_FILE, MapOutputRef
from apollo_common.errors import ApolloError, FetchFailed
from apollo_worker.core.columns import PairBatch
from apollo_worker.shuffle.arrow import decode_message
from apollo_worker.shuffle.data_file import Stopped
from apollo_worker.shuffle.segment_index import (
    FIRST_KEY_BYTES,
    Entries,
    IndexDamaged,
    PartitionIndex,
    read_partition,
)

MAX_OPEN_FILES = 64
_RETRY_SECONDS = 0.25
_MAY_APPEAR = (errno.ENOENT, errno.ESTALE)  # a network file system may show a new file late


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Sorted batches of one partition in one file. `failed` makes the error to raise when it cannot be read."""

    path: Path
    entries: Entries
    first_keys: list[bytes]
    failed: Callable[[str], ApolloError]

    def __len__(self) -> int:
        return len(self.entries)

    def whole_key(self, number: int) -> bool:
        """Whether the index keeps all of the first key of a batch, not only its beginning."""
        return int(self.entries["key_bytes"][number]) <= FIRST_KEY_BYTES


class SegmentReader:
    """Blocking; one thread at a time, except `stop`, which makes reads and waits under way raise Stopped soon.

    Keeps at most MAX_OPEN_FILES files open. A file that is missing is waited for up to `patience_s`.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self.stopped = threading.Event()
        self._open: OrderedDict[Path, int] = OrderedDict()

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def runs(self, output: MapOutputRef, volume: Path, partition: int) -> Iterator[Run]:
        """The runs of one partition of a map output on the volume, in the order in which the mapper emitted them."""
        failed = fetch_failure(output)
        index = volume / output.path / INDEX_FILE
        try:
            found = read_partition(lambda offset, length: self._read(index, offset, length, failed), partition)
        except IndexDamaged:
            raise failed("its index is damaged") from None
        finally:
            self.forget(index)
        yield from split_runs(volume / output.path / DATA_FILE, found, failed)

    def batch(self, run: Run, number: int) -> PairBatch:
        """Read one batch of a run and verify it."""
        entry = run.entries[number]
        content = self._read(run.path, int(entry["offset"]), int(entry["length_bytes"]), run.failed)
        if zlib.crc32(content) != entry["checksum"]:
            raise run.failed(f"its data is damaged at byte {entry['offset']}")
        return decode_message(content)

    def _read(self, path: Path, offset: int, length: int, failed: Callable[[str], ApolloError]) -> bytes:
        """Exactly `length` bytes from `offset`."""
        deadline = time.monotonic() + self._patience_s
        while True:
            if self.stopped.is_set():
                raise Stopped
            try:
                return self._read_once(path, offset, length, failed)
            except OSError as error:
                self.forget(path)
                if error.errno not in _MAY_APPEAR or time.monotonic() >= deadline:
                    raise failed(f"{path.name}: {error.strerror}") from error
            self.stopped.wait(_RETRY_SECONDS)

    def _read_once(self, path: Path, offset: int, length: int, failed: Callable[[str], ApolloError]) -> bytes:
        descriptor = self._descriptor(path)
        if offset + length > os.fstat(descriptor).st_size:
            raise failed(f"{path.name} is shorter than {offset + length} bytes")
        pieces = []
        while length:
            piece = os.pread(descriptor, length, offset)
            if not piece:
                raise failed(f"{path.name} ends before byte {offset + length}")
            pieces.append(piece)
            offset, length = offset + len(piece), length - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _descriptor(self, path: Path) -> int:
        if path in self._open:
            self._open.move_to_end(path)
        else:
            if len(self._open) >= MAX_OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
            self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._open[path]

    def forget(self, path: Path) -> None:
        descriptor = self._open.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)


def split_runs(path: Path, found: PartitionIndex, failed: Callable[[str], ApolloError]) -> Iterator[Run]:
    """A partition's batches, that lie in `path`, as the runs that they were written in."""
    bounds = np.flatnonzero(np.diff(found.entries["run"].astype(np.int64), prepend=-1, append=-1)).tolist()
    for start, stop in pairwise(bounds):
        yield Run(path, found.entries[start:stop], found.first_keys[start:stop], failed)


def fetch_failure(output: MapOutputRef) -> Callable[[str], ApolloError]:
    """Makes the error that names a map output, and says why it cannot be read."""

    def failed(why: str) -> ApolloError:
        message = f"cannot read the map output of {output.attempt}: {why}"
        return FetchFailed(message, task=output.task, attempt=output.attempt)

    return failed
