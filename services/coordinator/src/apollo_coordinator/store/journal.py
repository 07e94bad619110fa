"""The journal of facts in SQLite: one file, one writer, nothing lost that `append` has returned for.

WAL with synchronous=FULL: a commit is one write and one fsync, so the engine appends many facts at a time. WAL needs
shared memory between processes of one machine and fails on network file systems: the data directory belongs on a local
or block volume.

Beside it lies `lock`, which the process holds. It names the journal's coordinator once there is a journal: should the
file be missing then, its jobs are lost, and a new one must not hide that.
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

from apollo_common.errors import PermanentError, StorageUnavailable
from apollo_common.ids import JobId
from apollo_common.lifecycle import opened, to_the_end
from apollo_coordinator.ports import StoredFact, StoredSummary
from apollo_coordinator.store.files import volume_errors
from apollo_coordinator.store.room import RESERVE_BYTES, Reserve, coordinator_full, has_room
from apollo_coordinator.store.schema import JournalUnusable, damaged, prepare

JOURNAL_FILE = "journal.db"
LOCK_FILE = "lock"

READ_PAGE = 1_000
"""Facts or summaries that a full read holds in memory at a time."""

FORGET_PAGE = 1_000
"""Facts that are deleted in one transaction, between which others append."""

VACUUM_PAGES = 1_000
"""Free pages of the file that are given back after each."""

BUSY_TIMEOUT_MS = 5_000

INDEX_BYTES = 32 << 10  # of the WAL's index in shared memory, as long as the WAL stays below 4,000 pages

_COLUMNS = "sequence, job, job_sequence, at_ms, kind, body"

# Seeks in the index from one job to the next, and takes the sequences from there: no row of an archived job is read.
_OPEN_FACTS = f"""
    WITH RECURSIVE jobs (job) AS (
        SELECT min(job) FROM facts
        UNION ALL
        SELECT (SELECT min(facts.job) FROM facts WHERE facts.job > jobs.job) FROM jobs WHERE jobs.job IS NOT NULL
    )
    SELECT {_COLUMNS} FROM facts WHERE sequence IN (
        SELECT sequence FROM facts WHERE job IN (
            SELECT job FROM jobs WHERE job IS NOT NULL AND job NOT IN (SELECT job FROM ended_jobs)
        )
    ) ORDER BY sequence
"""  # noqa: S608 - constants

_ENDED_JOBS = "SELECT job, sequence, last_event, summary FROM ended_jobs WHERE summary IS NOT NULL ORDER BY sequence"


class DataDirectoryInUse(PermanentError):
    """Another coordinator works on this data directory."""

    reason = "data_directory_in_use"


class SqliteJournal:
    """See apollo_coordinator.ports.Journal. Use `open`."""

    def __init__(
        self, database: aiosqlite.Connection, lock: int, index: int, path: Path, identity: str, reserve: Reserve
    ) -> None:
        self.identity = identity
        """Of the coordinator that this journal belongs to; kept by it for ever."""
        self._database = database
        self._lock = lock
        self._index = index
        self._reserve = reserve
        self._path = path
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, directory: Path) -> Self:
        """Create or open `journal.db` in a directory. DataDirectoryInUse, JournalUnusable, VolumeFull."""
        return await opened(cls._open(directory), cls.close)

    @classmethod
    async def _open(cls, directory: Path) -> Self:
        lock = await asyncio.to_thread(_lock_directory, directory)
        path = directory / JOURNAL_FILE
        reserve = Reserve(directory)
        try:
            await asyncio.to_thread(reserve.give_back)
            with _mapped_errors(path):
                known = os.fstat(lock).st_size > 0
                identity = await asyncio.to_thread(prepare, path, known=known)
                os.pwrite(lock, identity.encode(), 0)
                database = await aiosqlite.connect(path, isolation_level=None)
                try:
                    for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "journal_mode=WAL", "synchronous=FULL"):
                        await database.execute_fetchall(f"PRAGMA {pragma}")
                    await database.execute_fetchall("SELECT id FROM coordinator")  # from the first read on it is there
                    index = await asyncio.to_thread(_hold_index, path)
                except BaseException:
                    await database.close()
                    raise
        except BaseException:
            os.close(lock)
            raise
        await asyncio.to_thread(reserve.keep)
        return cls(database, lock, index, path, identity, reserve)

    async def append(self, facts: Sequence[StoredFact]) -> None:
        rows = [(f.sequence, f.job, f.job_sequence, f.at_ms, f.kind, f.body) for f in facts]
        await self._write("INSERT INTO facts VALUES (?, ?, ?, ?, ?, ?)", rows)
        if not self._reserve.whole and has_room(self._path.parent, RESERVE_BYTES):
            await asyncio.to_thread(self._reserve.keep)

    async def last_sequence(self) -> int:
        with _mapped_errors(self._path):
            ((last,),) = await self._database.execute_fetchall("SELECT coalesce(max(sequence), 0) FROM facts")
        return int(last)

    async def read_ended(self) -> AsyncIterator[StoredSummary]:
        async for row in self._stream(_ENDED_JOBS):
            yield StoredSummary(*row)

    async def read_open(self) -> AsyncIterator[StoredFact]:
        async for row in self._stream(_OPEN_FACTS):
            yield StoredFact(*row)

    async def read_job(self, job: JobId, *, after: int = 0, limit: int = 1000) -> list[StoredFact]:
        with _mapped_errors(self._path):
            rows = await self._database.execute_fetchall(
                f"SELECT {_COLUMNS} FROM facts WHERE job = ? AND job_sequence > ? ORDER BY job_sequence LIMIT ?",  # noqa: S608
                (job, after, limit),
            )
        return [StoredFact(*row) for row in rows]

    async def archive(self, job: JobId, last_event: int, summary: str) -> None:
        await self._write(
            "INSERT OR IGNORE INTO ended_jobs SELECT job, sequence, ?, ? FROM facts WHERE job = ? AND job_sequence = 1",
            [(last_event, summary, job)],
        )

    async def forget(self, job: JobId) -> None:
        """A page at a time. From the first step on the job is not read any more, should the process end meanwhile."""
        await self._write(
            "INSERT INTO ended_jobs VALUES (?, 0, 0, NULL) ON CONFLICT (job) DO UPDATE SET summary = NULL", [(job,)]
        )
        statement = "DELETE FROM facts WHERE sequence IN (SELECT sequence FROM facts WHERE job = ? LIMIT ?)"
        while await self._write(statement, [(job, FORGET_PAGE)]) > 0:
            await self._shrink()
        await self._write("DELETE FROM ended_jobs WHERE job = ?", [(job,)])

    async def sweep(self) -> int:
        with _mapped_errors(self._path):
            rows = await self._database.execute_fetchall("SELECT job FROM ended_jobs WHERE summary IS NULL")
        jobs = [JobId(job) for (job,) in rows]
        for job in jobs:
            await self.forget(job)
        return len(jobs)

    def has_room(self) -> bool:
        return has_room(self._path.parent)

    def size_bytes(self) -> int:
        """Of the file and its write-ahead log. OSError."""
        log = self._path.with_name(f"{JOURNAL_FILE}-wal")
        return self._path.stat().st_size + (log.stat().st_size if log.exists() else 0)

    async def close(self) -> None:
        try:
            await self._database.close()
        finally:
            os.close(self._index)
            os.close(self._lock)

    async def _stream(self, statement: str) -> AsyncIterator[sqlite3.Row]:
        with _mapped_errors(self._path):
            async with self._database.execute(statement) as cursor:
                while rows := await cursor.fetchmany(READ_PAGE):
                    for row in rows:
                        yield row

    async def _shrink(self) -> None:
        async with self._writing:
            with _mapped_errors(self._path):
                # As a script, because the statement does a page at a time until it is run to its end.
                await self._database.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES});")

    async def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> int:
        """One transaction, and how many rows it has changed.

        It is seen through to its end even if the caller is cancelled, for half a write is none.
        """
        changed: list[int] = []
        await to_the_end(self._transaction(statement, rows, changed))
        return changed[0]

    async def _transaction(self, statement: str, rows: Sequence[tuple[object, ...]], changed: list[int]) -> None:
        async with self._writing:
            with _mapped_errors(self._path):
                await self._database.execute("BEGIN IMMEDIATE")
                try:
                    cursor = await self._database.executemany(statement, rows)
                    changed.append(cursor.rowcount)
                    await self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        await self._database.execute("ROLLBACK")
                    raise


def _lock_directory(directory: Path) -> int:
    """An open file descriptor that holds the directory; the lock ends with the process, however that ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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


def _hold_index(path: Path) -> int:
    """An open descriptor of the WAL's index, all of which has its room on the volume. VolumeFull.

    SQLite maps that file into its memory and writes there: where a block is missing on a full volume, the kernel kills
    the process (SIGBUS). SQLite allocates a block of each 4 KiB, but some file systems have smaller ones. To be closed
    after the database: closing it earlier would drop the locks that SQLite holds on the file (POSIX, fcntl).
    """
    index = os.open(path.with_name(f"{path.name}-shm"), os.O_RDWR | os.O_CLOEXEC)
    try:
        with volume_errors():
            os.posix_fallocate(index, 0, INDEX_BYTES)
    except BaseException:
        os.close(index)
        raise
    return index


@contextmanager
def _mapped_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise coordinator_full() from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise damaged(path, error) from error
        if code == sqlite3.SQLITE_CONSTRAINT:
            raise JournalUnusable(f"{path} holds other facts than those it was read with: {error}") from error
        raise StorageUnavailable(f"the coordinator's journal cannot be read or written: {error}") from error
