"""The journal of facts in SQLite: one file, one writer, nothing lost that `append` has returned for.

WAL with synchronous=FULL: a commit is one write and one fsync, so the engine appends many facts at a time. WAL needs
shared memory between processes of one machine and fails on network file systems: the data directory belongs on a local
or block volume.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import aiosqlite

from apollo_common.errors import PermanentError, StorageUnavailable, VolumeFull
from apollo_common.ids import JobId
from apollo_common.lifecycle import to_the_end
from apollo_coordinator.ports import StoredFact

READ_PAGE = 1_000
"""Facts that a full read holds in memory at a time."""

BUSY_TIMEOUT_MS = 5_000

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE facts (
        sequence INTEGER PRIMARY KEY,
        job TEXT NOT NULL,
        job_sequence INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX facts_of_job ON facts (job, job_sequence);
    """,
)
"""Step n brings a database from version n to n + 1; a step that was released is never changed."""


MIN_FREE_BYTES = 1 << 20  # below it no job is taken, so that those which run can still be journaled


class DataDirectoryInUse(PermanentError):
    """Another coordinator works on this data directory."""

    reason = "data_directory_in_use"


class JournalUnusable(PermanentError):
    """The file is damaged or was written by a later version."""

    reason = "journal_unusable"


class SqliteJournal:
    """See apollo_coordinator.ports.Journal. Use `open`."""

    def __init__(self, database: aiosqlite.Connection, lock: int, path: Path) -> None:
        self._database = database
        self._lock = lock
        self._path = path
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, directory: Path) -> Self:
        """Create or open `journal.db` in a directory. DataDirectoryInUse, JournalUnusable, VolumeFull."""
        lock = await asyncio.to_thread(_lock_directory, directory)
        path = directory / "journal.db"
        try:
            with _mapped_errors(path):
                database = await aiosqlite.connect(path, isolation_level=None)
                try:
                    await _prepare(database, path)
                except BaseException:
                    await database.close()
                    raise
        except BaseException:
            os.close(lock)
            raise
        return cls(database, lock, path)

    async def append(self, facts: Sequence[StoredFact]) -> None:
        rows = [(f.sequence, f.job, f.job_sequence, f.at_ms, f.kind, f.body) for f in facts]
        await self._write("INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?)", rows)

    async def read_all(self) -> AsyncIterator[StoredFact]:
        after = 0
        while page := await self._read("sequence > ? ORDER BY sequence LIMIT ?", (after, READ_PAGE)):
            for fact in page:
                yield fact
            after = page[-1].sequence

    async def read_job(self, job: JobId, *, after: int = 0, limit: int = 1000) -> list[StoredFact]:
        return await self._read("job = ? AND job_sequence > ? ORDER BY job_sequence LIMIT ?", (job, after, limit))

    async def forget(self, job: JobId) -> None:
        await self._write("DELETE FROM facts WHERE job = ?", [(job,)])

    def has_room(self) -> bool:
        volume = os.statvfs(self._path.parent)
        return volume.f_bavail * volume.f_frsize >= MIN_FREE_BYTES

    async def close(self) -> None:
        try:
            await self._database.close()
        finally:
            os.close(self._lock)

    async def _read(self, condition: str, parameters: tuple[object, ...]) -> list[StoredFact]:
        columns = "sequence, job, job_sequence, at_ms, kind, body"
        with _mapped_errors(self._path):
            rows = await self._database.execute_fetchall(
                f"SELECT {columns} FROM facts WHERE {condition}",  # noqa: S608 - the conditions stand above
                parameters,
            )
        return [StoredFact(*row) for row in rows]

    async def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """One transaction; seen through to its end even if the caller is cancelled, for half a write is none."""
        await to_the_end(self._transaction(statement, rows))

    async def _transaction(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        async with self._writing:
            with _mapped_errors(self._path):
                await self._database.execute("BEGIN IMMEDIATE")
                try:
                    await self._database.executemany(statement, rows)
                    await self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        await self._database.execute("ROLLBACK")
                    raise


async def _prepare(database: aiosqlite.Connection, path: Path) -> None:
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL"):
        await database.execute_fetchall(f"PRAGMA {pragma}")
    ((version,),) = await database.execute_fetchall("PRAGMA user_version")
    if version > len(MIGRATIONS):
        raise JournalUnusable(f"{path} was written by a later version of Apollo; start that version again")
    for number, migration in enumerate(MIGRATIONS[version:], version + 1):
        await database.executescript(f"BEGIN IMMEDIATE; {migration} PRAGMA user_version={number}; COMMIT;")


def _lock_directory(directory: Path) -> int:
    """An open file descriptor that holds the directory; the lock ends with the process, however that ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalUnusable(f"the data directory {directory} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise DataDirectoryInUse(
            f"another coordinator works on the data directory {directory}; stop it or choose another directory"
        ) from None
    return lock


@contextmanager
def _mapped_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise VolumeFull("the volume of the coordinator's journal is full; free some space on it") from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise JournalUnusable(f"{path} is damaged; restore it from a backup") from error
        if code == sqlite3.SQLITE_CONSTRAINT:
            raise JournalUnusable(f"{path} holds other facts than those it was read with: {error}") from error
        raise StorageUnavailable(f"the coordinator's journal cannot be read or written: {error}") from error
