"""Quarantined records on disk, a file for each:

    JOB/ATTEMPT/NUMBER    what is known of the record as a line of JSON, then its bytes

A file is there as a whole or not at all, so a crash leaves nothing to repair.
"""

import asyncio
import json
import shutil
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path

from apollo_common.ids import AttemptId, JobId, parse_attempt_id
from apollo_common.storage.files import fsync_directory
from apollo_coordinator.order import BadRecord
from apollo_coordinator.store.files import volume_errors, write_atomically
from apollo_coordinator.store.room import coordinator_full, has_room

_NUMBER_DIGITS = 6


class BadRecordFiles:
    """The BadRecordStore port on a directory. What it holds is users' data: for the coordinator's own user only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, attempt: AttemptId, record: BadRecord) -> None:
        await asyncio.to_thread(self._put, attempt, record)

    async def of_attempt(
        self, attempt: AttemptId, *, after: int = 0, limit: int | None = None, content_bytes: int | None = None
    ) -> list[BadRecord]:
        return await asyncio.to_thread(self._of_attempt, attempt, after, limit, content_bytes)

    async def count(self, attempt: AttemptId) -> int:
        return len(await asyncio.to_thread(self._numbers, attempt))

    async def get(self, attempt: AttemptId, number: int) -> BadRecord | None:
        return await asyncio.to_thread(_read, self._directory(attempt) / _name(number), None)

    async def retain(self, job: JobId, attempts: Collection[AttemptId]) -> None:
        await asyncio.to_thread(self._retain, job, frozenset(attempts))

    async def jobs(self) -> list[JobId]:
        return await asyncio.to_thread(self._jobs)

    async def forget(self, job: JobId) -> None:
        await asyncio.to_thread(shutil.rmtree, self._root / job, ignore_errors=True)

    def _put(self, attempt: AttemptId, record: BadRecord) -> None:
        directory = self._directory(attempt)
        path = directory / _name(record.number)
        if path.exists():
            return
        known = asdict(replace(record, content=b""))
        del known["content"]
        content = json.dumps(known).encode() + b"\n" + record.content
        with volume_errors():
            _make_durably(directory, below=self._root)
        if not has_room(directory, len(content)):
            raise coordinator_full()
        write_atomically(path, content, mode=0o600)

    def _of_attempt(
        self, attempt: AttemptId, after: int, limit: int | None, content_bytes: int | None
    ) -> list[BadRecord]:
        directory = self._directory(attempt)
        wanted = [number for number in self._numbers(attempt) if number > after][:limit]
        found = (_read(directory / _name(number), content_bytes) for number in wanted)
        return [record for record in found if record is not None]

    def _numbers(self, attempt: AttemptId) -> list[int]:
        """In order."""
        try:
            return sorted(int(path.name) for path in self._directory(attempt).iterdir() if path.name.isdecimal())
        except FileNotFoundError:
            return []

    def _retain(self, job: JobId, attempts: frozenset[str]) -> None:
        directory = self._root / job
        if not attempts:
            shutil.rmtree(directory, ignore_errors=True)
            return
        for entry in list(directory.iterdir()) if directory.is_dir() else []:
            if entry.name not in attempts:
                shutil.rmtree(entry, ignore_errors=True)

    def _jobs(self) -> list[JobId]:
        return [JobId(entry.name) for entry in sorted(self._root.iterdir())] if self._root.is_dir() else []

    def _directory(self, attempt: AttemptId) -> Path:
        return self._root / parse_attempt_id(attempt).job / attempt


def _name(number: int) -> str:
    return f"{number:0{_NUMBER_DIGITS}d}"


def _read(path: Path, content_bytes: int | None) -> BadRecord | None:
    try:
        with path.open("rb") as file:
            known = json.loads(file.readline())
            return BadRecord(content=file.read(content_bytes), **known)
    except FileNotFoundError:  # never there, or dropped meanwhile
        return None


def _make_durably(directory: Path, *, below: Path) -> None:
    """Make a directory and its parents, so that a crash does not take them with what is in them."""
    if directory.is_dir():
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    while directory != below:
        directory = directory.parent
        fsync_directory(directory)
    fsync_directory(below.parent)
