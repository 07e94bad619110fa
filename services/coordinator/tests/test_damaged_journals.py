"""A database file that is not what it was: it is named, with what to do, and never taken for an empty journal."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from apollo_common.ids import JobId
from apollo_coordinator.core.codec import UnreadableFact
from apollo_coordinator.ports import StoredFact
from apollo_coordinator.store.journal import SqliteJournal
from apollo_coordinator.store.schema import JournalUnusable
from support.engine import Site

FACTS = [StoredFact(n, JobId("j"), n, n, "kind", f"{n} " * 500) for n in range(1, 101)]


@pytest.fixture
async def file(tmp_path) -> Path:
    """A journal of some hundred pages."""
    journal = await SqliteJournal.open(tmp_path)
    await journal.append(FACTS)
    await journal.close()
    return tmp_path / "journal.db"


async def refused(file: Path) -> str:
    before = file.read_bytes() if file.exists() else None
    with pytest.raises(JournalUnusable, match="restore the data directory from a backup") as error:
        await SqliteJournal.open(file.parent)
    assert (file.read_bytes() if file.exists() else None) == before
    assert str(file) in str(error.value)
    return str(error.value)


async def test_random_bytes(file):
    file.write_bytes(os.urandom(8192))
    await refused(file)


async def test_an_empty_file(file):
    file.write_bytes(b"")
    assert "is damaged (it is empty)" in await refused(file)


async def test_a_file_that_is_gone(file):
    file.unlink()
    assert "is missing, but jobs were kept there" in await refused(file)


async def test_a_file_that_is_gone_and_left_its_log(tmp_path):
    (tmp_path / "journal.db-wal").write_bytes(b"what was not checkpointed")
    assert "is missing" in await refused(tmp_path / "journal.db")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
async def test_a_file_that_was_cut_off(file, kept):
    os.truncate(file, int(file.stat().st_size * kept))
    await refused(file)


async def test_pages_that_were_overwritten(file):
    """Wherever the torn pages are in the middle of the file: the check finds them, or every fact is still there."""
    whole, found = file.read_bytes(), 0
    randomness = random.Random(7)
    for _ in range(20):
        offset = 4096 * randomness.randrange(1, len(whole) // 4096)
        file.write_bytes(whole[:offset] + randomness.randbytes(4096) + whole[offset + 4096 :])
        try:
            journal = await SqliteJournal.open(file.parent)
        except JournalUnusable:
            found += 1
        else:
            assert [fact.sequence async for fact in journal.read_open()] == list(range(1, 101))
            await journal.close()
    assert found > 0


async def test_a_database_of_another_program(tmp_path):
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")
    assert "it is no journal of Apollo" in await refused(tmp_path / "journal.db")


async def test_what_a_killed_creation_left_is_no_journal(tmp_path):
    (tmp_path / "journal.db.new").write_bytes(b"half")
    journal = await SqliteJournal.open(tmp_path)
    await journal.append(FACTS)
    await journal.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.db", "lock", "reserve"]


async def test_the_command_says_what_to_do_without_a_traceback(file):
    file.write_bytes(b"")
    command = [sys.executable, "-c", "from apollo_coordinator.app import main; main()"]
    environment = os.environ | {"APOLLO_DATA_DIR": str(file.parent), "APOLLO_PORT": "0"}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().splitlines()[-1] == (
        f"apollo-coordinator: {file} is damaged (it is empty): restore the data directory from a backup"
    )
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("job-started", '{"v":1'),
        ("attempt-started", '{"v":1,"attempt":"unknown00000-m-00000-0","worker":"w"}'),
        ("maps-planned", '{"v":1,"splits":"AAAA"}'),
        ("commit-started", '{"v":1}'),
        ("job-accepted", "[]"),
    ],
)
async def test_a_fact_that_cannot_be_is_named(kind, body):
    accepted = '{"v":1,"spec":{"input_paths":[],"output_path":"","mapper":{"source":"builtin","name":"builtin:sum"}}}'
    site = Site()
    await site.journal.append(
        [StoredFact(1, JobId("a"), 1, 1, "job-accepted", accepted), StoredFact(2, JobId("a"), 2, 2, kind, body)]
    )
    with pytest.raises(UnreadableFact, match=rf"fact 2 of the journal \({kind} of job a\) is damaged"):
        async with site.coordinator():
            pass
