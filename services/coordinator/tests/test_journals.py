"""The contract of the Journal port, for every adapter; then what only a file can suffer."""

import asyncio
import contextlib
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from apollo_common.errors import VolumeFull
from apollo_common.ids import JobId
from apollo_coordinator.ports import StoredFact, StoredSummary
from apollo_coordinator.store import journal as journal_module
from apollo_coordinator.store import schema
from apollo_coordinator.store.journal import DataDirectoryInUse, SqliteJournal
from apollo_coordinator.store.memory import MemoryJournal
from apollo_coordinator.store.schema import JournalUnusable

WRITER = Path(__file__).with_name("journal_writer.py")
FILLER = Path(__file__).with_name("filling_writer.py")


@pytest.fixture(params=["memory", "sqlite"])
async def journal(request, tmp_path):
    journal = MemoryJournal() if request.param == "memory" else await SqliteJournal.open(tmp_path / "data")
    yield journal
    await journal.close()


def fact(sequence: int, job: str, job_sequence: int, body: str = "{}") -> StoredFact:
    return StoredFact(sequence, JobId(job), job_sequence, 1_700_000_000_000 + sequence, "kind", body)


STORY = [fact(1, "a", 1), fact(2, "b", 1), fact(3, "a", 2, '{"text":"naïve \\u0000"}'), fact(4, "a", 3)]


def a_writer(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, WRITER, directory], stdout=subprocess.PIPE, text=True)


async def everything(journal) -> list[StoredFact]:
    return [fact async for fact in journal.read_open()]


async def test_facts_come_back_in_order(journal):
    await journal.append(STORY[:2])
    await journal.append(STORY[2:])
    assert await everything(journal) == STORY


async def test_an_empty_journal(journal):
    assert await everything(journal) == []
    assert await journal.read_job(JobId("a")) == []


async def test_a_jobs_facts_in_pages(journal):
    await journal.append(STORY)
    assert await journal.read_job(JobId("a")) == [STORY[0], STORY[2], STORY[3]]
    assert await journal.read_job(JobId("a"), after=1, limit=1) == [STORY[2]]
    assert await journal.read_job(JobId("a"), after=3) == []


async def test_a_forgotten_job_leaves_the_others(journal):
    await journal.append(STORY)
    await journal.forget(JobId("a"))
    assert await everything(journal) == [STORY[1]]


async def test_an_archived_job_is_read_as_its_summary(journal):
    await journal.append(STORY)
    await journal.archive(JobId("a"), 2, "summary of a")
    await journal.archive(JobId("a"), 3, "another one")
    await journal.archive(JobId("unknown"), 1, "of nothing")
    assert await everything(journal) == [STORY[1]]
    assert [stored async for stored in journal.read_ended()] == [StoredSummary(JobId("a"), 1, 2, "summary of a")]
    assert await journal.read_job(JobId("a")) == [STORY[0], STORY[2], STORY[3]]
    assert await journal.last_sequence() == 4


async def test_summaries_come_in_the_order_of_creation(journal):
    await journal.append([fact(1, "z", 1), fact(2, "a", 1), fact(3, "m", 1)])
    for job in "amz":
        await journal.archive(JobId(job), 1, job)
    assert [stored.body async for stored in journal.read_ended()] == ["z", "a", "m"]


async def test_a_forgotten_job_has_no_summary(journal):
    await journal.append(STORY)
    await journal.archive(JobId("a"), 3, "summary")
    await journal.forget(JobId("a"))
    assert [stored async for stored in journal.read_ended()] == []
    await journal.archive(JobId("a"), 3, "too late")
    assert [stored async for stored in journal.read_ended()] == []
    assert await everything(journal) == [STORY[1]]
    assert await journal.last_sequence() == 2


async def test_more_facts_than_a_page(journal):
    many = [fact(n, "a", n) for n in range(1, 2_502)]
    await journal.append(many)
    assert await everything(journal) == many


async def test_facts_survive_reopening(tmp_path):
    journal = await SqliteJournal.open(tmp_path)
    await journal.append(STORY)
    await journal.close()
    journal = await SqliteJournal.open(tmp_path)
    assert await everything(journal) == STORY
    await journal.close()


async def test_a_batch_is_written_whole_or_not_at_all(tmp_path):
    journal = await SqliteJournal.open(tmp_path)
    await journal.append(STORY[:1])
    with pytest.raises(JournalUnusable, match="UNIQUE"):
        await journal.append([fact(5, "c", 1), STORY[0]])
    assert await everything(journal) == STORY[:1]
    await journal.append(STORY[1:])
    await journal.close()


async def test_a_cancelled_append_is_seen_through(tmp_path):
    journal = await SqliteJournal.open(tmp_path)
    append = asyncio.ensure_future(journal.append(STORY))
    await asyncio.sleep(0)
    append.cancel()
    with pytest.raises(asyncio.CancelledError):
        await append
    assert await everything(journal) in ([], STORY)
    await journal.close()


async def test_nothing_is_lost_or_torn_by_kill_9_while_appending(tmp_path):
    randomness = random.Random(4)
    before = 0
    for _ in range(8):
        writer = a_writer(tmp_path)
        safe = before
        for _ in range(randomness.randrange(1, 60)):
            safe = int(writer.stdout.readline())
        writer.kill()
        safe = max([safe, *(int(line) for line in writer.stdout.read().split() if line)])
        writer.wait()
        writer.stdout.close()
        with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        journal = await SqliteJournal.open(tmp_path)
        found = [fact.sequence for fact in await everything(journal)]
        await journal.close()
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= safe
        assert len(found) % 7 == 0
        before = len(found)


async def test_a_second_process_on_the_same_directory_is_refused(tmp_path):
    writer = a_writer(tmp_path)
    try:
        writer.stdout.readline()
        with pytest.raises(DataDirectoryInUse, match=f"another coordinator works on the data directory {tmp_path}"):
            await SqliteJournal.open(tmp_path)
    finally:
        writer.kill()
        writer.communicate()
    journal = await SqliteJournal.open(tmp_path)
    await journal.close()


async def test_a_full_volume_is_named_and_passes(tmp_path):
    journal = await SqliteJournal.open(tmp_path)
    await journal.append(STORY[:2])
    await journal._database.execute_fetchall("PRAGMA max_page_count=20")
    with pytest.raises(VolumeFull, match=r"the coordinator's volume is full: it needs about 1\.0 MiB more"):
        await journal.append([fact(n, "big", n, "x" * 10_000) for n in range(10, 60)])
    await journal._database.execute_fetchall("PRAGMA max_page_count=100000")
    await journal.append(STORY[2:])
    assert await everything(journal) == STORY
    await journal.close()


def test_a_volume_that_is_really_full_loses_nothing_and_goes_on(tmp_path):
    """A file system of 4 MiB in a mount namespace of the child's own."""
    child = (
        f"mount -t tmpfs -o size=4m none {tmp_path} && head -c 2000000 /dev/zero > {tmp_path}/ballast"
        f" && exec {sys.executable} {FILLER} {tmp_path}/data {tmp_path}/ballast"
    )
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    done = subprocess.run([*command, child], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (safe, had_room), (found, has_room) = (line.split() for line in done.stdout.splitlines())
    assert (had_room, has_room) == ("False", "True")
    assert int(safe) > 100
    assert int(found) == int(safe) + 7


async def test_room_is_what_the_file_system_has_left(tmp_path, monkeypatch):
    journal = await SqliteJournal.open(tmp_path)
    assert journal.has_room()
    monkeypatch.setattr("apollo_coordinator.store.room.MIN_FREE_BYTES", shutil.disk_usage(tmp_path).total)
    assert not journal.has_room()
    await journal.close()


async def test_an_older_journal_is_migrated_and_keeps_its_facts(tmp_path, monkeypatch):
    journal = await SqliteJournal.open(tmp_path)
    await journal.append(STORY)
    await journal.close()
    added = "CREATE TABLE notes (text TEXT) STRICT;"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, added))
    for _ in range(2):
        journal = await SqliteJournal.open(tmp_path)
        assert await everything(journal) == STORY
        assert await journal._database.execute_fetchall("SELECT * FROM notes") == []
        await journal.close()


async def test_a_data_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnusable, match="data directory"):
        await SqliteJournal.open(tmp_path / "file")


async def test_others_append_while_a_large_job_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "FORGET_PAGE", 10)
    journal = await SqliteJournal.open(tmp_path)
    await journal.append([fact(n, "a", n) for n in range(1, 1_001)])
    forgetting = asyncio.ensure_future(journal.forget(JobId("a")))
    appended = 0
    while not forgetting.done():
        appended += 1
        await journal.append([fact(1_000 + appended, "b", appended)])
    assert appended > 3
    assert len(await everything(journal)) == appended
    await journal.close()


async def test_a_job_that_was_half_forgotten_at_a_crash_is_not_there_and_goes_with_the_next_sweep(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(journal_module, "FORGET_PAGE", 2)
    journal = await SqliteJournal.open(tmp_path)
    await journal.append(STORY)

    async def crash() -> None:
        raise OSError

    monkeypatch.setattr(journal, "_shrink", crash)
    with pytest.raises(OSError):
        await journal.forget(JobId("a"))
    await journal.close()
    journal = await SqliteJournal.open(tmp_path)
    assert len(await journal.read_job(JobId("a"))) == 1
    assert await everything(journal) == [STORY[1]]
    assert [stored async for stored in journal.read_ended()] == []
    assert await journal.sweep() == 1
    assert await journal.sweep() == 0
    assert await journal.read_job(JobId("a")) == []
    await journal.close()


async def test_the_file_shrinks_when_jobs_are_forgotten(tmp_path):
    journal = await SqliteJournal.open(tmp_path)
    await journal.append([fact(n, "a", n, "x" * 1_000) for n in range(1, 2_001)])
    await journal.append([fact(3_000, "b", 1)])
    await journal.close()
    full_bytes = (tmp_path / "journal.db").stat().st_size
    journal = await SqliteJournal.open(tmp_path)
    await journal.forget(JobId("a"))
    await journal.close()
    assert full_bytes > 2_000_000
    assert (tmp_path / "journal.db").stat().st_size < 100_000


async def test_a_coordinator_keeps_its_id(tmp_path):
    ids = []
    for directory in (tmp_path / "one", tmp_path / "one", tmp_path / "two"):
        journal = await SqliteJournal.open(directory)
        ids.append(journal.identity)
        await journal.close()
    assert ids[0] == ids[1] != ids[2]
