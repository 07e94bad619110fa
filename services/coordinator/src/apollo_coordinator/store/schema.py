"""The journal's database file: made, checked and migrated before anything is read from it. Blocking."""

import sqlite3
from contextlib import closing
from pathlib import Path

from apollo_common.errors import PermanentError
from apollo_common.storage.files import fsync_directory

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
    # `sequence` is that of the job's first fact; without a summary the job is being forgotten.
    """
    CREATE TABLE ended_jobs (
        job TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL,
        last_event INTEGER NOT NULL,
        summary TEXT
    ) STRICT;
    CREATE TABLE coordinator (id TEXT NOT NULL) STRICT;
    INSERT INTO coordinator VALUES (lower(hex(randomblob(8))));
    """,
)
"""Step n brings a database from version n to n + 1; a step that was released is never changed."""

QUICK_CHECK_BYTES = 1 << 30
"""Larger files are not read through at the start, which would take more than some seconds: there, damage shows when it
is met. SQLite reports it then as it does here, and the engine stops."""


class JournalUnusable(PermanentError):
    """The file is damaged, missing, or was written by a later version."""

    reason = "journal_unusable"


def prepare(path: Path, *, known: bool) -> str:
    """Bring the file to the present schema; returns the coordinator's id. `known`: there must be a file.

    JournalUnusable; sqlite3.Error.
    """
    if not path.exists():
        if known or path.with_name(f"{path.name}-wal").exists():
            raise JournalUnusable(
                f"{path} is missing, but jobs were kept there: restore the data directory from a backup, "
                "or begin anew with an empty one"
            )
        _create(path)
    if path.stat().st_size == 0:  # SQLite would take it for a new database
        raise damaged(path, "it is empty")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        version = _version(database)
        if version > len(MIGRATIONS):
            raise JournalUnusable(f"{path} was written by a later version of Apollo; start that version again")
        if version == 0:
            raise damaged(path, "it is no journal of Apollo")
        if path.stat().st_size <= QUICK_CHECK_BYTES:
            ((found,),) = database.execute("PRAGMA quick_check(1)")
            if found != "ok":
                raise damaged(path, found)
        _migrate(database, version)
        ((identity,),) = database.execute("SELECT id FROM coordinator")
    return str(identity)


def damaged(path: Path, how: object) -> JournalUnusable:
    return JournalUnusable(f"{path} is damaged ({how}): restore the data directory from a backup")


def _create(path: Path) -> None:
    """The file appears with its schema or not at all, so that an empty one is never taken for a beginning."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with closing(sqlite3.connect(new, isolation_level=None)) as database:
        database.execute("PRAGMA auto_vacuum=INCREMENTAL")  # only before the first table; older files reuse free pages
        _migrate(database, 0)
    new.replace(path)
    fsync_directory(path.parent)


def _migrate(database: sqlite3.Connection, version: int) -> None:
    """Each step is a transaction of its own: what interrupts one leaves the version before it."""
    for number, migration in enumerate(MIGRATIONS[version:], version + 1):
        database.executescript(f"BEGIN IMMEDIATE; {migration} PRAGMA user_version={number}; COMMIT;")


def _version(database: sqlite3.Connection) -> int:
    ((version,),) = database.execute("PRAGMA user_version")
    return int(version)
