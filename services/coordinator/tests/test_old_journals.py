"""Journals of older versions, and what interrupts their migration."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from apollo_common.errors import StorageUnavailable
from apollo_common.ids import JobId
from apollo_coordinator.core.model import JobStatus, TaskStatus
from apollo_coordinator.store import schema
from apollo_coordinator.store.journal import SqliteJournal
from apollo_coordinator.store.schema import JournalUnusable
from support.engine import Site, ended, until

SCHEMA_1 = Path(__file__).with_name("journal_of_schema_1.sql")
MIGRATOR = Path(__file__).with_name("interrupted_migration.py")
FIRST, SECOND, THIRD = JobId("first0000000"), JobId("second000000"), JobId("third0000000")


@pytest.fixture
def data(tmp_path) -> Path:
    """A data directory of version 0.1.0."""
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as database:
        database.executescript(SCHEMA_1.read_text())
    return tmp_path


def version_and_facts(data: Path) -> tuple[int, int]:
    with contextlib.closing(sqlite3.connect(data / "journal.db")) as database:
        ((version,),) = database.execute("PRAGMA user_version")
        ((facts,),) = database.execute("SELECT count(*) FROM facts")
    return version, facts


async def test_the_jobs_of_a_first_version_are_the_same_and_go_on(data):
    """What they must be is read off the dump."""
    for _ in range(2):  # as migrated, then as this version keeps them
        journal = await SqliteJournal.open(data)
        site = Site(journal=journal)
        site.add_workers(2)
        async with site.coordinator() as engine:
            first, second, third = engine.jobs()
            assert [first.id, second.id, third.id] == [FIRST, SECOND, THIRD]
            assert (first.status, first.spec.idempotency_key) == (JobStatus.SUCCEEDED, "key-1")
            assert (first.created_ms, first.ended_ms) == (12567733, 12567754)
            assert first.counters == {"apollo": {"input_records": 50}}
            assert (second.status, second.failure.message) == (JobStatus.FAILED, "the input changed")
            tasks = await engine.tasks(FIRST)
            assert [(task.status, task.accepted[-3:]) for task in tasks] == [
                (TaskStatus.COMPLETED, accepted) for accepted in ("0-0", "1-1", "2-0", "0-0", "1-0")
            ]
            assert tasks[1].attempts[0].failure.exit_status == 1
            assert [event.id async for event in engine.events(FIRST)] == list(range(1, 20))
            assert (await ended(engine, THIRD)).status is JobStatus.SUCCEEDED
            await until(lambda: not engine.state.queues)
            assert (await engine.tasks(THIRD))[0].accepted == f"{THIRD}-m-00000-0"
        await site.close()
        await journal.close()


async def test_a_journal_of_a_later_version_is_refused(data):
    with contextlib.closing(sqlite3.connect(data / "journal.db")) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(JournalUnusable, match=r"journal\.db was written by a later version of Apollo"):
        await SqliteJournal.open(data)
    assert version_and_facts(data) == (99, 35)


async def test_a_migration_that_fails_leaves_the_journal_as_it_was(data, monkeypatch):
    broken = "CREATE TABLE notes (text TEXT) STRICT; DELETE FROM facts; SELECT * FROM nowhere;"
    monkeypatch.setattr(schema, "MIGRATIONS", (schema.MIGRATIONS[0], broken))
    with pytest.raises(StorageUnavailable, match="nowhere"):
        await SqliteJournal.open(data)
    assert version_and_facts(data) == (1, 35)


async def test_a_process_killed_in_mid_migration_leaves_the_journal_as_it_was(data):
    killed = subprocess.run([sys.executable, MIGRATOR, data], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert version_and_facts(data) == (1, 35)
    await (await SqliteJournal.open(data)).close()
    assert version_and_facts(data) == (len(schema.MIGRATIONS), 35)
