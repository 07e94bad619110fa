"""Writes runs of sorted pairs to a data file and keeps the index entries of what it wrote.

The file as a whole is one Arrow IPC stream (schema, record batches, end marker), so any Arrow tool can read it. Runs
follow each other; within a run partitions rise; within a partition keys rise.
"""

import os
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apollo_worker.core.columns import PairBatch
from apollo_worker.shuffle.arena import Chunk, SortedArena
from apollo_worker.shuffle.arrow import STREAM_END, STREAM_START, encode_message, record_batch
from apollo_worker.shuffle.disk import Space, disk_errors
from apollo_worker.shuffle.segment_index import ENTRY, FIRST_KEY_BYTES, Entries

BATCH_BYTES = 256 << 10  # of one message; a larger pair has a message of its own
_BUFFER_BYTES = 256 << 10


class Stopped(Exception):
    """The attempt ends; what was being written or read is no longer wanted."""


class DataFile:
    """Blocking; one thread at a time. `stopped` ends a long write early with Stopped.

    `first_keys` are the first keys of all batches, in file order, cut to FIRST_KEY_BYTES. Raises VolumeFull when the
    disk has no space or quota left, ScratchExceeded when `space` does not allow more.
    """

    def __init__(self, path: Path, batch_bytes: int, stopped: threading.Event, space: Space) -> None:
        self._path = path
        self._batch_bytes = batch_bytes
        self._stopped = stopped
        self._space = space
        self._disk = space.disk
        self.size_bytes = len(STREAM_START)
        space.take(self.size_bytes)
        with disk_errors(self._disk):
            self._file = path.open("wb", buffering=_BUFFER_BYTES)
            self._file.write(STREAM_START)
        self._entries: list[Entries] = []
        self._pending: list[tuple[int, int, int, int, int, int, int]] = []
        self.first_keys: list[bytes] = []
        self.runs = 0

    def write_run(self, pairs: SortedArena) -> None:
        """Append one run: the arena's pairs, in (partition, key) order."""
        ends = np.cumsum(pairs.counts)
        for chunk in pairs.chunks(self._batch_bytes):
            self._append_chunk(pairs, chunk, ends)
        self.end_run()

    def write_batch(self, pairs: PairBatch, partition: int = 0) -> None:
        """Append one batch to the open run; batches must arrive in (partition, key) order."""
        self._append(record_batch(pairs), partition)

    def end_run(self) -> None:
        self._entries.append(np.array(self._pending, ENTRY))
        self._pending.clear()
        self.runs += 1

    def entries(self) -> Entries:
        """The index entries of all ended runs, in file order."""
        return np.concatenate(self._entries) if self._entries else np.zeros(0, ENTRY)

    def finish(self) -> None:
        """End the stream and close the file, forced to a durable disk."""
        self._write(STREAM_END)
        with disk_errors(self._disk):
            self._file.flush()
            if self._disk.durable:
                os.fsync(self._file.fileno())
            self._file.close()

    def discard(self) -> None:
        """Close without caring for what is unwritten, and remove the file."""
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()
        self._space.give_back(self.size_bytes)
        self.size_bytes = 0

    def _append_chunk(self, pairs: SortedArena, chunk: Chunk, ends: NDArray[np.int64]) -> None:
        batch = pairs.view(chunk.start) if chunk.stop == chunk.start + 1 else pairs.take(chunk)
        start = chunk.start
        while start < chunk.stop:
            partition = int(np.searchsorted(ends, start, "right"))
            stop = min(chunk.stop, int(ends[partition]))
            self._append(batch.slice(start - chunk.start, stop - start), partition)
            start = stop

    def _append(self, batch: Any, partition: int) -> None:
        if self._stopped.is_set():
            raise Stopped
        message = encode_message(batch)
        key = batch.column(0)[0].as_buffer()
        self.first_keys.append(key.slice(0, min(key.size, FIRST_KEY_BYTES)).to_pybytes())
        entry = (self.size_bytes, message.size, len(batch), zlib.crc32(message), self.runs, key.size, partition)
        self._pending.append(entry)
        self._write(message)

    def _write(self, content: Any) -> None:
        self._space.take(len(content))
        self.size_bytes += len(content)
        with disk_errors(self._disk):
            self._file.write(content)
