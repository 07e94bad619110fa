import asyncio

import pytest

from apollo_proto.apollo.v1 import Accepted, BadRecord, Done, LogChunk, Progress, TaskAssignment, TaskEvent
from apollo_worker.events import LOG_CHUNK_BYTES, RETAINED_LOG_BYTES, EventLog


@pytest.fixture
def log() -> EventLog:
    return EventLog(TaskAssignment(job_id="j", task_id="j-m-00000", attempt_id="j-m-00000-0"))


async def told(log: EventLog, after: int = 0) -> list[TaskEvent]:
    return [event async for event in log.follow(after)]


async def test_events_are_numbered_from_one_and_carry_their_ids(log):
    log.publish(Accepted())
    log.publish(Done(output_records=7))
    first, last = await told(log)
    assert (first.sequence, first.job_id, first.task_id, first.attempt_id) == (1, "j", "j-m-00000", "j-m-00000-0")
    assert first.accepted is not None
    assert (last.sequence, last.done.output_records) == (2, 7)


async def test_a_follower_hears_what_comes_later(log):
    log.publish(Accepted())
    following = asyncio.create_task(told(log))
    await asyncio.sleep(0)
    log.publish(LogChunk(content=b"a"))
    await asyncio.sleep(0)
    log.publish(LogChunk(content=b"b"))
    log.publish(Done())
    assert [event.sequence for event in await following] == [1, 2, 3, 4]


async def test_resuming_skips_what_is_known(log):
    for story in (Accepted(), LogChunk(content=b"a"), Done()):
        log.publish(story)
    assert [event.sequence for event in await told(log, after=2)] == [3]
    assert await told(log, after=3) == []


async def test_progress_replaces_the_progress_before(log):
    for count in range(1000):
        log.publish(Progress(input_bytes=count))
    log.publish(Done())
    assert [(event.sequence, event.done is not None) for event in await told(log)] == [(1000, False), (1001, True)]


async def test_only_the_newest_log_is_kept(log):
    chunks = RETAINED_LOG_BYTES // LOG_CHUNK_BYTES + 10
    for number in range(chunks):
        log.publish(LogChunk(content=number.to_bytes(2, "little") * (LOG_CHUNK_BYTES // 2)))
    log.publish(Done())
    kept = [event.log.content for event in await told(log) if event.log is not None]
    assert sum(map(len, kept)) == RETAINED_LOG_BYTES
    assert kept[-1][:2] == (chunks - 1).to_bytes(2, "little")


async def test_a_slow_follower_gets_what_is_left_and_the_end(log):
    log.publish(Accepted())
    following = log.follow()
    assert (await anext(following)).sequence == 1
    for count in range(100):
        log.publish(Progress(input_bytes=count))
    log.publish(Done())
    assert [event.sequence async for event in following] == [101, 102]


async def test_nothing_follows_the_end(log):
    log.publish(Done())
    with pytest.raises(RuntimeError, match="after the end"):
        log.publish(Accepted())


async def test_bad_records_are_told_again_to_every_reader(log):
    log.publish(BadRecord(number=1, content=b"a"))
    log.publish(Progress(input_bytes=1))
    log.publish(BadRecord(number=2, content=b"b"))
    log.publish(Done())
    assert [event.bad_record.number for event in await told(log) if event.bad_record is not None] == [1, 2]
    assert [event.bad_record.number for event in await told(log, after=1) if event.bad_record is not None] == [2]
