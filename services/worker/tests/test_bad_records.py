"""A search finds the records that a mapper fails on, whatever blocks they come in, and the second pass goes without."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.errors import (
    BadRecordTooLarge,
    ProgramError,
    ProgramExited,
    ProgramProtocolError,
    ProgramStartFailed,
    ProgramTimeout,
    QuarantineFull,
    RecordsFailOtherwise,
    TooManyBadRecords,
)
from apollo_proto.apollo import v1
from apollo_worker.bad_records import BadRecordSearch, Found, Unheard, skipping, tell_of_search
from apollo_worker.core.bisection import Span
from apollo_worker.core.columns import RecordBlock
from apollo_worker.core.record_chunks import MAX_CHUNK_RECORDS, Chunk, Chunker
from apollo_worker.core.record_rows import RecordRows
from apollo_worker.events import EventLog
from apollo_worker.ports import Mapper, PairSink, ProgramResult
from apollo_worker.reporting import AttemptReporter
from support.sessions import Bench

URL = "s3://bucket/in.txt"
BUDGET_BYTES = 64 << 20


class PickyMapper:
    """Fails if `fails` says so of the records that it gets."""

    def __init__(self, fails: Callable[[list[bytes]], Exception | None]) -> None:
        self._fails = fails
        self.runs = 0

    async def map(self, records: AsyncIterator[RecordBlock], sink: PairSink) -> ProgramResult:
        self.runs += 1
        got = [record async for block in records for record in contents(block)]
        if (error := self._fails(got)) is not None:
            raise error
        return ProgramResult(len(got))


def fails_on(bad: Callable[[bytes], bool]) -> PickyMapper:
    def fails(records: list[bytes]) -> Exception | None:
        error = ProgramExited(f"cannot take {records!r:.40}", exit_status=3)
        error.stderr_tail = b"Traceback\n"
        return error if any(map(bad, records)) else None

    return PickyMapper(fails)


def contents(block: RecordBlock) -> list[bytes]:
    rows = RecordRows(block)
    return [rows.content(row) for row in range(block.count)]


def lines_block(records: list[bytes], offset: int = 0) -> RecordBlock:
    return RecordBlock(URL, b"".join(record + b"\n" for record in records), len(records), offset)


def sized_block(records: list[bytes], offset: int = 0) -> RecordBlock:
    lengths = np.array([len(record) for record in records], np.uint32)
    return RecordBlock(URL, b"".join(records), len(records), offset, lengths)


async def stream(blocks: list[RecordBlock]) -> AsyncGenerator[RecordBlock, None]:
    for block in blocks:
        yield block


def in_blocks(
    records: list[bytes], sizes: list[int], make: Callable[[list[bytes], int], RecordBlock]
) -> list[RecordBlock]:
    """Some records in blocks of so many, the sizes taken in turn; offsets count on."""
    blocks: list[RecordBlock] = []
    start = offset = 0
    while start < len(records):
        piece = records[start : start + sizes[len(blocks) % len(sizes)]]
        blocks.append(make(piece, offset))
        start, offset = start + len(piece), offset + len(blocks[-1].data)
    return blocks


def a_search(
    mapper: Mapper, *, allowed: int = 100, budget_bytes: int = BUDGET_BYTES, told: list[v1.BadRecord] | None = None
) -> tuple[BadRecordSearch, AttemptReporter]:
    reporter = AttemptReporter(EventLog(v1.TaskAssignment(attempt_id="j-m-00000-2")))
    tell = (told if told is not None else []).append
    return BadRecordSearch(mapper, reporter, budget_bytes, allowed=allowed, tell=tell), reporter


RECORDS = st.lists(
    st.tuples(st.binary(max_size=5).map(lambda text: text.replace(b"\n", b"n")), st.booleans()), max_size=60
)
SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@given(marked=RECORDS, sizes=SIZES, other_sizes=SIZES, sized=st.booleans())
async def test_the_bad_records_are_found_and_the_others_are_mapped(marked, sizes, other_sizes, sized):
    records = [(b"!" if bad else b".") + text for text, bad in marked]
    make = sized_block if sized else lines_block
    mapper, told = fails_on(lambda record: record.startswith(b"!")), []
    search, reporter = a_search(mapper, told=told)
    found = await search.find(stream(in_blocks(records, sizes, make)))

    expected = [number for number, record in enumerate(records) if record.startswith(b"!")]
    starts = [sum(len(record) + (not sized) for record in records[:number]) for number in expected]
    assert found == Found(expected, len(records))
    assert [(told.number, told.offset, told.content) for told in told] == [
        (place + 1, start, records[number]) for place, (number, start) in enumerate(zip(expected, starts, strict=True))
    ]
    assert all(record.line is not sized and record.input_url == URL for record in told)
    assert all((record.exit_status, record.stderr_tail) == (3, b"Traceback\n") for record in told)
    most = 1 + 2 * len(expected) * ceil(log2(len(records))) if records else 0
    assert mapper.runs <= most
    counters = reporter.counters()["apollo"]
    assert counters.get("bisection_runs", 0) == mapper.runs
    assert counters.get("bad_records", 0) == len(expected)

    good = skipping(stream(in_blocks(records, other_sizes, make)), found)
    mapped = [record async for block in good for record in contents(block)]
    assert mapped == [record for record in records if not record.startswith(b"!")]


async def test_records_keep_their_offsets_where_bad_ones_between_them_are_gone():
    block = lines_block([b"aa", b"!", b"b", b"cc"], 100)
    blocks = [block async for block in skipping(stream([block]), Found([1], 4))]
    assert [(block.first_offset, block.count, bytes(block.data)) for block in blocks] == [
        (100, 1, b"aa\n"),
        (105, 2, b"b\ncc\n"),
    ]


async def test_what_was_not_searched_is_not_mapped():
    """As a sampler does, whose beginning may be cut at another block the second time."""
    blocks = [
        block async for block in skipping(stream([lines_block([b"a", b"b", b"c"]), lines_block([b"d"])]), Found([0], 2))
    ]
    assert [bytes(block.data) for block in blocks] == [b"b\n"]


@pytest.mark.parametrize("error", [ProgramTimeout("silent"), ProgramProtocolError("no such frame")])
async def test_other_ways_in_which_a_record_breaks_a_program_count(error):
    search, _ = a_search(PickyMapper(lambda records: error if b"x" in records else None))
    assert await search.find(stream([lines_block([b"a", b"x", b"c"])])) == Found([1], 3)


async def test_an_error_that_no_record_explains_ends_the_search():
    search, _ = a_search(PickyMapper(lambda _: ProgramStartFailed("no such interpreter")))
    with pytest.raises(ProgramStartFailed):
        await search.find(stream([lines_block([b"a", b"b"])]))


async def test_more_bad_records_than_allowed_end_the_search_with_those_told():
    told: list[v1.BadRecord] = []
    search, _ = a_search(fails_on(lambda _: True), allowed=3, told=told)
    with pytest.raises(TooManyBadRecords, match="more than 3 bad records"):
        await search.find(stream([lines_block([b"%d" % number for number in range(1000)])]))
    assert [record.content for record in told] == [b"0", b"1", b"2", b"3"]


async def test_a_program_that_fails_on_many_records_together_is_given_up():
    """However many may be skipped."""
    mapper = PickyMapper(lambda records: ProgramExited("too many", exit_status=1) if len(records) > 1 else None)
    search, _ = a_search(mapper, allowed=10_000)
    assert await search.find(stream([lines_block([b"a"] * 4096)])) == Found([], 4096, unexplained=True)
    assert mapper.runs == 1 + 2 * 12


@given(bad=st.sets(st.integers(0, 63)), limit=st.integers(2, 64))
async def test_failures_that_no_record_explains_cost_no_more_than_one_bad_record(bad, limit):
    def fails(records: list[bytes]) -> Exception | None:
        broken = len(records) > limit or any(int(record) in bad for record in records)
        return ProgramExited("broken", exit_status=1) if broken else None

    mapper = PickyMapper(fails)
    search, _ = a_search(mapper)
    found = await search.find(stream([lines_block([b"%d" % number for number in range(64)])]))
    assert set(found.bad) <= bad
    assert mapper.runs <= 1 + 2 * (len(found.bad) + 1) * 6


def raised(line: int, error: str) -> ProgramExited:
    """As a Python program ends."""
    failure = ProgramExited(error, exit_status=1)
    failure.stderr_tail = (
        f'Traceback (most recent call last):\n  File "/m.py", line {line}, in <module>\n    x\n{error}\n'.encode()
    )
    return failure


def wants_header(records: list[bytes]) -> ProgramExited | None:
    """Takes the first record for a header, and fails on any other there."""
    if records[0] != b"shop,amount":
        return raised(3, f"AssertionError: unexpected header {records[0].decode()!r}")
    return raised(5, "ValueError: invalid literal") if b"x,n/a" in records else None


@pytest.mark.parametrize("allowed", [3, 1000])
async def test_records_on_which_a_program_fails_only_without_those_before_them_are_not_bad(allowed):
    records = [b"shop,amount", *(b"s%d,1" % number for number in range(60)), b"x,n/a", b"s,2"]
    search, _ = a_search(PickyMapper(wants_header), allowed=allowed)
    with pytest.raises(RecordsFailOtherwise, match="may be good") as refused:
        await search.find(stream([lines_block(records)]))
    assert "Together: ValueError: invalid literal; alone: AssertionError: unexpected header" in str(refused.value)


async def test_a_program_may_fail_for_several_causes_of_which_the_first_hides_the_others():
    def fails(records: list[bytes]) -> Exception | None:
        causes = {b"x": raised(3, "ValueError: no number"), b"y": raised(4, "KeyError: 'y'"), b"z": ProgramTimeout("z")}
        return next((causes[record] for record in records if record in causes), None)

    mapper = PickyMapper(fails)
    search, _ = a_search(mapper)
    assert await search.find(stream([lines_block([b"a", b"x", b"b", b"y", b"x", b"z", b"c", b"d"])])) == Found(
        [1, 3, 4, 5], 8
    )
    assert mapper.runs <= 1 + 2 * 4 * 3 + 1


async def test_a_record_that_only_fails_where_another_is_missing_is_not_skipped_with_the_bad_one():
    def fails(records: list[bytes]) -> Exception | None:
        if b"bad" in records:
            return raised(5, "ValueError: bad")
        return raised(3, "EOFError: too few") if len(records) == 1 and records != [b"good"] else None

    search, _ = a_search(PickyMapper(fails))
    with pytest.raises(RecordsFailOtherwise):
        await search.find(stream([lines_block([b"bad", b"odd", b"good", b"good"])]))


async def test_what_a_program_says_without_a_traceback_tells_no_causes_apart():
    def fails(records: list[bytes]) -> Exception | None:
        error = ProgramExited("broken", exit_status=2)
        error.stderr_tail = b"read %d lines, then %s\n" % (len(records), b"-".join(records))
        return error if b"x" in records else None

    search, _ = a_search(PickyMapper(fails))
    assert await search.find(stream([lines_block([b"a", b"x", b"c", b"x"])])) == Found([1, 3], 4)


async def test_a_record_over_a_mebibyte_is_not_skipped():
    search, _ = a_search(fails_on(lambda record: len(record) > 9))
    with pytest.raises(
        BadRecordTooLarge, match=r"the record at byte 2 of s3://bucket/in.txt .* with 1,048,577 bytes .*cannot take"
    ):
        await search.find(stream([lines_block([b"a", b"x" * ((1 << 20) + 1)])]))


async def test_the_records_found_take_a_bounded_share_of_the_memory_budget():
    records = [b"x" * 1000] * 100
    search, _ = a_search(fails_on(lambda record: record == records[0]), budget_bytes=200_000, told=[])
    with pytest.raises(QuarantineFull, match="up to the record at byte 49049 of"):  # the 50th
        await search.find(stream([lines_block(records)]))


async def test_progress_says_what_is_going_on():
    events = EventLog(v1.TaskAssignment(attempt_id="j-m-00000-2"))
    reporter = AttemptReporter(events)
    search = BadRecordSearch(
        fails_on(lambda record: record == b"x"), reporter, BUDGET_BYTES, allowed=1, tell=lambda _: None
    )
    await search.find(stream([lines_block([b"a", b"x"])]))
    reporter.finish()
    assert (await anext(events.follow())).progress.status == "skips 1 bad record of 2"


def test_a_failure_of_the_second_pass_says_that_skipping_does_not_help():
    none, some = ProgramError("the program gave up"), ProgramError("the program gave up")
    tell_of_search(none, Found([], 10))
    tell_of_search(some, Found([1, 2], 10))
    assert str(none) == (
        "the program gave up. The job may skip bad records, but the program fails on no single record, and so none "
        "can be said to be bad"
    )
    assert "2 bad records of the input were left out, and it fails on no other single one" in str(some)
    together = ProgramError("the program gave up")
    tell_of_search(together, Found([], 10, unexplained=True))
    assert "fails on records only together, and on no single one: it keeps something" in str(together)


def test_a_program_may_not_count_in_the_built_in_group_while_it_is_searched_either():
    with pytest.raises(ProgramProtocolError, match="Apollo's own"):
        Unheard().counter("apollo", "input_records", 1)


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12), most_bytes=st.integers(1, 100))
def test_chunks_hold_every_record_once_within_their_bounds(sizes, most_bytes):
    blocks = [lines_block([b"%d.%d" % (number, row) for row in range(size)]) for number, size in enumerate(sizes)]
    chunker = Chunker(most_bytes)
    chunks = [chunk for block in blocks for chunk in chunker.add(block)] + list(chunker.rest())
    held = [list(chunk.blocks(Span(0, chunk.records))) for chunk in chunks]
    assert [record for blocks in held for block in blocks for record in contents(block)] == [
        record for block in blocks for record in contents(block)
    ]
    for inside in held:
        assert len(inside) == 1 or sum(len(block.data) for block in inside) <= most_bytes


def test_a_block_of_very_many_records_is_cut():
    chunker = Chunker(1 << 30)
    block = lines_block([b""] * (MAX_CHUNK_RECORDS + 5))
    assert [chunk.records for chunk in (*chunker.add(block), *chunker.rest())] == [MAX_CHUNK_RECORDS, 5]


def test_a_chunk_finds_the_block_of_a_record():
    chunk = Chunk([lines_block([b"a", b"b"], 10), lines_block([b"c"], 20)])
    found = [chunk.row(record) for record in range(3)]
    assert [(rows.content(row), rows.offset(row)) for rows, row in found] == [(b"a", 10), (b"b", 12), (b"c", 20)]


async def test_a_real_program_is_run_on_its_own_for_each_try(tmp_path):
    """Its log and its counters are nobody's; what it said of the one record is kept."""
    script = (
        """{ print "reporter:counter:mine,lines,1" > "/dev/stderr" } /x/ { print "no: " $0 > "/dev/stderr"; exit 4 }"""
    )
    text = f"awk '{script}'"
    bench = Bench(tmp_path, text)
    told: list[v1.BadRecord] = []
    search, _ = a_search(bench.session, told=told)
    found = await search.find(stream([lines_block([b"a", b"b", b"cx", b"d"])]))
    assert found == Found([2], 4)
    (record,) = told
    assert (record.exit_status, record.stderr_tail, record.reason) == (4, b"no: cx\n", "program_exited")
    assert bench.sink.emitted == []
    assert list(tmp_path.iterdir()) == []


async def test_a_cancelled_search_leaves_nothing_that_runs(tmp_path):
    work, started = tmp_path / "work", tmp_path / "started"
    bench = Bench(work, f"touch {started}; exec sleep 600")
    search, _ = a_search(bench.session)
    searching = asyncio.create_task(search.find(stream([lines_block([b"a", b"b"])])))
    async with asyncio.timeout(60):
        while not started.exists():
            await asyncio.sleep(0.01)
    searching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await searching
    (process,) = bench.observer.process_ids
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert list(work.iterdir()) == []
