"""Standard error of attempts on disk: the beginning and the end of each, readable and followed while it grows.

    JOB/ATTEMPT/OFFSET    a segment; OFFSET (12 digits) is where its bytes lie in all that the program wrote

The first segment is the head and stays; of the later ones only the newest are kept. What lies between two segments was
left out, which is all the bookkeeping there is: it survives a crash by itself.
"""

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

from apollo_common.ids import AttemptId, JobId, job_of, parse_attempt_id
from apollo_common.logging import get_logger
from apollo_coordinator.store.room import has_room

HEAD_BYTES = 5_000_000
TAIL_BYTES = 5_000_000
SEGMENT_BYTES = 1_000_000
_READ_BYTES = 1 << 20
_log = get_logger(__name__)


class LogFiles:
    """The LogStore port on a directory. A full volume costs log lines, never an attempt."""

    def __init__(
        self,
        root: Path,
        *,
        head_bytes: int = HEAD_BYTES,
        tail_bytes: int = TAIL_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._root = root
        self._limits = (head_bytes, tail_bytes, segment_bytes)
        self._open: dict[AttemptId, _Growing] = {}

    async def append(self, attempt: AttemptId, content: bytes, offset: int) -> None:
        if not content:
            return
        growing = self._growing(attempt)
        async with growing.appending:
            await asyncio.to_thread(growing.segments.append, content, offset)
        growing.notify()

    async def read(self, attempt: AttemptId) -> bytes | None:
        segments = self._open[attempt].segments if attempt in self._open else self._segments(attempt)
        return await asyncio.to_thread(segments.read_all)

    async def follow(self, attempt: AttemptId) -> AsyncIterator[bytes]:
        growing = self._growing(attempt)
        position = 0
        while True:
            changed, closed = growing.changed, growing.closed
            content, position = await asyncio.to_thread(growing.segments.read, position, _READ_BYTES)
            if content:
                yield content
            elif closed:
                return
            else:
                await changed.wait()

    async def close_attempt(self, attempt: AttemptId) -> None:
        growing = self._open.pop(attempt, None)
        if growing is not None:
            growing.closed = True
            growing.notify()

    async def jobs(self) -> list[JobId]:
        return await asyncio.to_thread(self._jobs)

    def _jobs(self) -> list[JobId]:
        return [JobId(entry.name) for entry in sorted(self._root.iterdir())] if self._root.is_dir() else []

    async def forget(self, job: JobId) -> None:
        for attempt in [attempt for attempt in self._open if job_of(attempt) == job]:
            await self.close_attempt(attempt)
        await asyncio.to_thread(shutil.rmtree, self._root / job, ignore_errors=True)

    def _growing(self, attempt: AttemptId) -> "_Growing":
        if attempt not in self._open:
            self._open[attempt] = _Growing(self._segments(attempt))
        return self._open[attempt]

    def _segments(self, attempt: AttemptId) -> "_Segments":
        return _Segments(self._root / parse_attempt_id(attempt).job / attempt, *self._limits)


class _Growing:
    """A log that is still written to, and who waits for it."""

    def __init__(self, segments: "_Segments") -> None:
        self.segments = segments
        self.appending = asyncio.Lock()  # keeps the order of appends
        self.changed = asyncio.Event()
        self.closed = False

    def notify(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class _Segments:
    """The files of one attempt. Blocking; each method may run in any thread."""

    def __init__(self, directory: Path, head_bytes: int, tail_bytes: int, segment_bytes: int) -> None:
        self._directory = directory
        self._head_bytes, self._tail_bytes, self._segment_bytes = head_bytes, tail_bytes, segment_bytes
        self._lock = threading.Lock()

    def append(self, content: bytes, offset: int) -> None:
        with self._lock:
            found = self._list()
            start, end = found[-1] if found else (0, 0)
            # After a restart the worker tells again what it still has: some of it is here, some may be missing.
            rest = memoryview(content)[max(0, end - offset) :]
            if offset > end:
                start = end = offset
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                _leave_room_for_facts(self._directory)
                while rest:
                    limit = start + (self._segment_bytes if start else self._head_bytes)
                    if end >= limit:
                        start = end
                        continue
                    piece = rest[: limit - end]
                    with self._path(start).open("ab") as file:
                        file.write(piece)
                    end += len(piece)
                    rest = rest[len(piece) :]
            except OSError as error:
                _log.warning(
                    "part of a program's log is lost",
                    attempt=self._directory.name,
                    dropped_bytes=len(rest),
                    error=error.strerror,
                )
            self._prune()

    def read_all(self) -> bytes | None:
        """All that is kept; None when nothing ever was."""
        pieces: list[bytes] = []
        position = 0
        while True:
            content, position = self.read(position, _READ_BYTES)
            if not content:
                break
            pieces.append(content)
        return b"".join(pieces) if pieces else None

    def read(self, position: int, limit_bytes: int) -> tuple[bytes, int]:
        """Some bytes from `position` on, and where to go on; empty at the end. Says how much was left out."""
        with self._lock:
            found = self._list()
            if not found:
                return b"", position
            tail = found[-1][1] - self._tail_bytes
            for start, end in found:
                begin = max(start, position) if start == 0 else max(start, position, tail)
                if begin >= end:
                    continue
                left_out = f"\n... {begin - position} bytes left out ...\n".encode() if begin > position else b""
                with self._path(start).open("rb") as file:
                    file.seek(begin - start)
                    content = file.read(min(limit_bytes, end - begin))
                return left_out + content, begin + len(content)
            return b"", position

    def _prune(self) -> None:
        """Remove later segments that lie wholly before the tail."""
        found = self._list()
        for start, end in found[1:]:
            if end <= found[-1][1] - self._tail_bytes:
                self._path(start).unlink()

    def _list(self) -> list[tuple[int, int]]:
        """Start and end of each segment, in order."""
        if not self._directory.is_dir():
            return []
        paths = sorted(self._directory.iterdir())
        return [(int(path.name), int(path.name) + path.stat().st_size) for path in paths]

    def _path(self, start: int) -> Path:
        return self._directory / f"{start:012d}"


def _leave_room_for_facts(directory: Path) -> None:
    """OSError where there is no more than that."""
    if not has_room(directory):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
