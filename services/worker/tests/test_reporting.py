import asyncio
import json

import pytest

from apollo_common.errors import ProgramProtocolError
from apollo_proto.apollo.v1 import Done, TaskAssignment, TaskEvent
from apollo_worker import reporting
from apollo_worker.events import LOG_CHUNK_BYTES, EventLog
from apollo_worker.failure import STDERR_TAIL_BYTES
from apollo_worker.reporting import LOG_BYTES_PER_TICK, MAX_COUNTERS, AttemptReporter


@pytest.fixture
def events() -> EventLog:
    return EventLog(TaskAssignment(attempt_id="j-m-00000-0"))


@pytest.fixture
def reporter(events) -> AttemptReporter:
    return AttemptReporter(events)


async def told(events: EventLog) -> list[TaskEvent]:
    events.publish(Done())
    return [event async for event in events.follow()][:-1]


async def test_counters_add_up_by_group_and_name(reporter):
    reporter.counter("mine", "lines", 2)
    reporter.counter("mine", "lines", 3)
    reporter.add("input_records", 7)
    assert reporter.counters() == {"apollo": {"input_records": 7}, "mine": {"lines": 5}}


async def test_counters_are_bounded_in_number(reporter):
    for number in range(MAX_COUNTERS):
        reporter.counter("mine", str(number), 1)
    with pytest.raises(ProgramProtocolError, match="1000 counters"):
        reporter.counter("yours", "one more", 1)
    reporter.counter("mine", "0", 1)
    assert len(reporter.counters()["mine"]) == MAX_COUNTERS
    assert reporter.counters()["mine"]["0"] == 2


async def test_counters_with_long_names_that_begin_alike_stay_apart(reporter):
    for ending in "ab":
        reporter.counter("mine", "n" * 254 + ending, 1)
    assert list(reporter.counters()["mine"].values()) == [1, 1]


async def test_a_program_cannot_change_what_apollo_counts(reporter):
    reporter.add("input_records", 7)
    with pytest.raises(ProgramProtocolError, match="use another group"):
        reporter.counter("apollo", "input_records", 1)
    assert reporter.counters() == {"apollo": {"input_records": 7}}


async def test_standard_error_is_told_in_chunks_and_its_tail_kept(reporter, events):
    said = bytes(range(256)) * 600
    reporter.stderr(said)
    reporter.flush_log()
    chunks = [event.log.content for event in await told(events)]
    assert b"".join(chunks) == said
    assert max(map(len, chunks)) <= LOG_CHUNK_BYTES
    assert reporter.stderr_tail == said[-STDERR_TAIL_BYTES:]


async def test_a_flood_on_standard_error_is_cut_and_says_so(reporter, events):
    for _ in range(3):
        reporter.stderr(b"x" * LOG_BYTES_PER_TICK)
    reporter.flush_log()
    content = b"".join(event.log.content for event in await told(events))
    assert content.count(b"x") == LOG_BYTES_PER_TICK
    assert f"{2 * LOG_BYTES_PER_TICK} bytes of standard error dropped".encode() in content


async def test_a_silent_attempt_has_a_heartbeat(reporter, events, monkeypatch):
    monkeypatch.setattr(reporting, "TICK_SECONDS", 0.001)
    reporting_task = asyncio.create_task(reporter.report_until_cancelled())
    async with asyncio.timeout(10):
        event = await anext(events.follow())
    reporting_task.cancel()
    assert event.progress is not None


async def test_what_was_not_told_is_told_at_the_end(reporter, events):
    reporter.input_bytes_total = 10
    reporter.read(10)
    reporter.stderr(b"bye")
    reporter.finish()
    reporter.finish()
    heard = await told(events)
    assert [event.log.content for event in heard if event.log is not None] == [b"bye"]
    progress = [event.progress for event in heard if event.progress is not None]
    assert [(each.input_bytes, each.input_bytes_total) for each in progress] == [(10, 10)]


async def test_progress_tells_input_counters_and_status(reporter, events, monkeypatch):
    monkeypatch.setattr(reporting, "TICK_SECONDS", 0.001)
    reporter.input_bytes_total = 10
    reporter.read(4)
    reporter.status("halfway")
    reporter.add("input_records", 2)
    reporting_task = asyncio.create_task(reporter.report_until_cancelled())
    async with asyncio.timeout(10):
        event = await anext(events.follow())
    reporting_task.cancel()
    progress = event.progress
    assert (progress.input_bytes, progress.input_bytes_total, progress.status) == (4, 10, "halfway")
    assert json.loads(progress.counters) == {"apollo": {"input_records": 2}}


async def test_pieces_of_the_log_say_where_they_begin(events, reporter):
    whole = b"x" * (LOG_CHUNK_BYTES + 5)
    reporter.stderr(whole)
    reporter.flush_log()
    reporter.stderr(b"more")
    reporter.flush_log()
    pieces = [event.log for event in await told(events)]
    assert [piece.offset for piece in pieces] == [0, LOG_CHUNK_BYTES, LOG_CHUNK_BYTES + 5]
    assert b"".join(piece.content for piece in pieces) == whole + b"more"
