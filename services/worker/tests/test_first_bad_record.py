"""After a failed attempt one record is looked for on which its program fails alone, and in the same way."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from apollo_common.errors import ProgramExited, ProgramStartFailed, StorageUnavailable
from apollo_proto.apollo import v1
from apollo_worker import first_bad_record as module
from apollo_worker.core.columns import RecordBlock
from apollo_worker.core.record_rows import RecordRows
from apollo_worker.failure import failed_event
from apollo_worker.first_bad_record import PREVIEW_BYTES, first_bad_record
from apollo_worker.ports import PairSink, ProgramResult

URL = "s3://bucket/in.txt"
FAILED = failed_event(ProgramExited("it ended", exit_status=3))


class Program:
    """A mapper that fails as `fails` says of the records that it gets."""

    def __init__(self, fails: Callable[[list[bytes]], Exception | None]) -> None:
        self._fails = fails
        self.runs = 0

    async def map(self, records: AsyncIterator[RecordBlock], _sink: PairSink) -> ProgramResult:
        self.runs += 1
        got = []
        async for block in records:
            rows = RecordRows(block)
            got += [rows.content(row) for row in range(block.count)]
        if (error := self._fails(got)) is not None:
            raise error
        return ProgramResult(len(got))


def fails_on(bad: Callable[[bytes], bool], exit_status: int = 3) -> Program:
    def fails(records: list[bytes]) -> Exception | None:
        return ProgramExited("it ended", exit_status=exit_status) if any(map(bad, records)) else None

    return Program(fails)


async def lines(*records: bytes, lines_in_block: int = 7):
    for start in range(0, len(records), lines_in_block):
        piece = records[start : start + lines_in_block]
        offset = sum(len(record) + 1 for record in records[:start])
        yield RecordBlock(URL, b"".join(record + b"\n" for record in piece), len(piece), offset)


async def find(program: Program, blocks, tell=lambda _: None) -> v1.RecordPlace | None:
    return await first_bad_record(program, blocks, FAILED, tell, 64 << 20)


async def test_the_first_of_several_is_found_where_it_is():
    records = [b"good %d" % number for number in range(100)]
    records[41], records[77] = b"bad 41", b"bad 77"
    program, told = fails_on(lambda record: record.startswith(b"bad")), []
    found = await find(program, lines(*records), told.append)
    assert found == v1.RecordPlace(
        input_url=URL, offset=sum(len(record) + 1 for record in records[:41]), size_bytes=6, preview=b"bad 41"
    )
    assert program.runs <= 1 + 2 * 7  # of a hundred records
    assert told[0].startswith("looks for bad records")


async def test_of_a_long_record_the_beginning_is_told():
    found = await find(fails_on(lambda record: len(record) > 5000), lines(b"a", b"x" * 9000))
    assert (found.size_bytes, found.preview) == (9000, b"x" * PREVIEW_BYTES)


@pytest.mark.parametrize(
    "program",
    [
        fails_on(lambda _: False),
        fails_on(lambda _: True, exit_status=1),
        Program(lambda records: ProgramExited("it ended", exit_status=3) if len(records) > 1 else None),
        Program(lambda _: ProgramStartFailed("no such interpreter")),
        Program(lambda _: ValueError("a defect of the search")),
    ],
    ids=["none fails", "alone it ends otherwise", "only several", "it does not start", "a defect"],
)
async def test_nothing_is_found_where_no_record_is_to_blame(program):
    assert await find(program, lines(b"a", b"b", b"c")) is None


async def test_an_input_that_cannot_be_read_any_more_is_no_further_failure():
    async def broken():
        yield RecordBlock(URL, b"a\n", 1, 0)
        raise StorageUnavailable("no answer")

    assert await find(fails_on(lambda record: record == b"b"), broken()) is None


async def test_a_search_is_bounded_in_bytes_and_time(monkeypatch):
    monkeypatch.setattr(module, "MAX_SEARCHED_BYTES", 10)
    program = fails_on(lambda record: record == b"bad")
    assert await find(program, lines(*[b"four"] * 2, b"bad", lines_in_block=1)) is None
    assert program.runs == 1

    class Slow:
        async def map(self, _records: AsyncIterator[RecordBlock], _sink: PairSink) -> ProgramResult:
            await asyncio.Event().wait()

    monkeypatch.setattr(module, "MAX_SEARCH_SECONDS", 0.01)
    assert await find(Slow(), lines(b"a")) is None


async def test_a_search_can_be_cancelled():
    begun = asyncio.Event()

    class Hanging:
        async def map(self, _records: AsyncIterator[RecordBlock], _sink: PairSink) -> ProgramResult:
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(find(Hanging(), lines(b"a")))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
