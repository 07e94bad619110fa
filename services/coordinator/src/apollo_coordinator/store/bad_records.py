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

_NUMBER_DIGITS = 6


class BadRecordFiles:
    """The BadRecordStore port on a directory. What it holds is users' data: for the coordinator's own user only."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, attempt: AttemptId, record: BadRecord) -> None:
        await asyncio.to_thread(self._put, attempt, record)

    async def of_attempt(self, attempt: AttemptId, *, content_bytes: int | None = None) -> list[BadRecord]:
        return await asyncio.to_thread(self._of_attempt, attempt, content_bytes)

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
        with volume_errors():
            _make_durably(directory, below=self._root)
        write_atomically(path, json.dumps(known).encode() + b"\n" + record.content, mode=0o600)

    def _of_attempt(self, attempt: AttemptId, content_bytes: int | None) -> list[BadRecord]:
        directory = self._directory(attempt)
        paths = sorted(path for path in directory.iterdir() if path.name.isdecimal()) if directory.is_dir() else []
        return [record for path in paths if (record := _read(path, content_bytes)) is not None]

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
