"""What every BadRecordStore promises."""

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from apollo_common.ids import AttemptId, JobId
from apollo_coordinator.order import BadRecord
from apollo_coordinator.ports import BadRecordStore
from apollo_coordinator.store.bad_records import BadRecordFiles
from apollo_coordinator.store.memory import MemoryBadRecords

JOB = JobId("3a7c00000001")
ATTEMPT = AttemptId(f"{JOB}-m-00000-2")
OTHER = AttemptId(f"{JOB}-m-00001-2")
STRANGER = AttemptId("3a7c00000002-m-00000-2")

RECORD = BadRecord(
    number=1,
    input="s3://logs/2026/ä b.txt",
    offset=4096,
    size_bytes=9,
    content=b'{"a"\n\0\xff\r\n',
    line=False,
    reason="program_exited",
    message="the map program `parse.py` ended with exit status 1",
    exit_status=1,
    stderr_tail="Traceback …\nValueError: é\n",
)


@pytest.fixture(params=["files", "memory"])
def reopened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], BadRecordStore]:
    """The same store again, as after a restart; one in memory has only its present."""
    memory = MemoryBadRecords()
    return lambda: BadRecordFiles(tmp_path / "bad-records") if request.param == "files" else memory


@pytest.fixture
def store(reopened: Callable[[], BadRecordStore]) -> BadRecordStore:
    return reopened()


async def test_a_record_comes_back_whole_after_a_restart(
    store: BadRecordStore, reopened: Callable[[], BadRecordStore]
) -> None:
    await store.put(ATTEMPT, RECORD)
    assert await reopened().of_attempt(ATTEMPT) == [RECORD]
    assert await reopened().get(ATTEMPT, 1) == RECORD


async def test_records_come_in_order_of_their_numbers(store: BadRecordStore) -> None:
    for number in (2, 11, 1):
        await store.put(ATTEMPT, replace(RECORD, number=number))
    await store.put(OTHER, replace(RECORD, number=5))
    assert [record.number for record in await store.of_attempt(ATTEMPT)] == [1, 2, 11]
    assert [record.number for record in await store.of_attempt(ATTEMPT, after=1, limit=1)] == [2]
    assert [record.number for record in await store.of_attempt(ATTEMPT, after=2, limit=5)] == [11]
    assert await store.count(ATTEMPT) == 3


async def test_a_record_that_is_told_again_is_kept_once(store: BadRecordStore) -> None:
    await store.put(ATTEMPT, RECORD)
    await store.put(ATTEMPT, replace(RECORD, content=b"other"))
    assert await store.of_attempt(ATTEMPT) == [RECORD]


async def test_of_a_record_that_is_looked_at_only_the_beginning_is_read(store: BadRecordStore) -> None:
    await store.put(ATTEMPT, RECORD)
    (seen,) = await store.of_attempt(ATTEMPT, content_bytes=3)
    assert (seen.content, seen.size_bytes) == (b'{"a', 9)


async def test_what_is_not_there_is_empty(store: BadRecordStore) -> None:
    await store.put(ATTEMPT, RECORD)
    assert await store.of_attempt(OTHER) == []
    assert await store.count(OTHER) == 0
    assert await store.get(ATTEMPT, 2) is None
    assert await store.get(OTHER, 1) is None
    await store.retain(JobId("3a7c00000009"), [OTHER])
    await store.forget(JobId("3a7c00000009"))


async def test_what_attempts_found_that_have_no_say_goes(store: BadRecordStore) -> None:
    for attempt in (ATTEMPT, OTHER, STRANGER):
        await store.put(attempt, RECORD)
    await store.retain(JOB, [OTHER])
    assert await store.of_attempt(ATTEMPT) == []
    assert await store.of_attempt(OTHER) == [RECORD]
    await store.retain(JOB, [])
    assert await store.jobs() == [STRANGER.partition("-")[0]]
    assert await store.of_attempt(STRANGER) == [RECORD]


async def test_a_forgotten_job_leaves_the_others(store: BadRecordStore) -> None:
    for attempt in (ATTEMPT, OTHER, STRANGER):
        await store.put(attempt, RECORD)
    assert sorted(await store.jobs()) == [JOB, JobId("3a7c00000002")]
    await store.forget(JOB)
    assert await store.jobs() == [JobId("3a7c00000002")]
    assert await store.of_attempt(ATTEMPT) == []
    assert await store.of_attempt(STRANGER) == [RECORD]


async def test_an_empty_record_is_one(store: BadRecordStore) -> None:
    empty = replace(RECORD, content=b"", size_bytes=0, line=True)
    await store.put(ATTEMPT, empty)
    assert await store.of_attempt(ATTEMPT) == [empty]


async def test_files_are_their_owners_and_what_a_crash_left_is_no_record(tmp_path: Path) -> None:
    store = BadRecordFiles(tmp_path / "bad-records")
    await store.put(ATTEMPT, RECORD)
    (file,) = (tmp_path / "bad-records" / JOB / ATTEMPT).iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    (file.parent / ".0123456789abcdef.tmp").write_bytes(b"half")
    assert await store.of_attempt(ATTEMPT) == [RECORD]
