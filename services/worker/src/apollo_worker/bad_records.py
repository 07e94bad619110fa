"""A skipping attempt's first pass: find the records that make the mapper fail, each by itself.

The mapper is run anew on chunks of the input. Whatever it emits is dropped, and a chunk that it fails on is halved
until single records are left. The second pass, an ordinary one, goes without them.
"""

from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from apollo_common.bad_records import (
    BAD_RECORDS,
    BISECTION_RUNS,
    ERRORS_OF_RECORDS,
    MAX_BAD_RECORD_BYTES,
    MAX_QUARANTINE_BYTES,
    QUARANTINED_BYTES,
    SEARCHED,
)
from apollo_common.errors import (
    ApolloError,
    BadRecordTooLarge,
    ProgramError,
    QuarantineFull,
    RecordsFailOtherwise,
    TooManyBadRecords,
)
from apollo_common.fingerprints import fingerprint
from apollo_common.telling_lines import telling_lines
from apollo_common.timings import Step
from apollo_proto.apollo import v1
from apollo_worker.core.bisection import Span, bisection, max_runs
from apollo_worker.core.columns import PairBatch, RecordBlock
from apollo_worker.core.record_chunks import Chunk, Chunker
from apollo_worker.core.record_rows import RecordRows, without
from apollo_worker.failure import failed_event
from apollo_worker.ports import Mapper
from apollo_worker.reporting import check_counter_group
from apollo_worker.steps import wholly

MAX_CHUNK_BYTES: Final = 16 << 20  # of input, or one block: what the mapper is run on first
_BUDGET_SHARE: Final = 4  # of the memory budget, for a chunk; and for what was found, which is kept to be told again

Tell = Callable[[v1.BadRecord], None]


class SearchReporter(Protocol):
    """Who hears how a search goes: an AttemptReporter, where what is found counts."""

    def add(self, name: str, increment: int) -> None: ...

    def status(self, message: str) -> None: ...


@dataclass(slots=True)
class Found:
    """What a search has found in an input that it has read to its end."""

    bad: list[int] = field(default_factory=list)  # numbers of records within the input, from 0, in order
    records: int = 0  # that were read
    unexplained: bool = False  # the mapper fails on some of them together, and on none of these alone


class BadRecordSearch:
    """Looks once through one attempt's input."""

    def __init__(
        self, mapper: Mapper, reporter: SearchReporter, budget_bytes: int, *, allowed: int, tell: Tell
    ) -> None:
        """`allowed`: how many bad records there may be. `tell`: who hears of each, also of the one too many."""
        self._mapper = mapper
        self._reporter = reporter
        self._allowed = allowed
        self._tell = tell
        self._chunk_bytes = min(MAX_CHUNK_BYTES, budget_bytes // _BUDGET_SHARE)
        self._room_bytes = min(MAX_QUARANTINE_BYTES, budget_bytes // _BUDGET_SHARE)
        self._found = Found()
        self._runs = 0

    async def find(self, blocks: AsyncIterator[RecordBlock]) -> Found:
        """TooManyBadRecords, RecordsFailOtherwise, BadRecordTooLarge, QuarantineFull, whatever reading raises, and
        errors that no record explains, such as ProgramStartFailed. The caller closes `blocks`.
        """
        chunker = Chunker(self._chunk_bytes)
        with wholly(Step.SEARCH):
            async for block in blocks:
                for chunk in chunker.add(block):
                    await self._search(chunk)
            for chunk in chunker.rest():
                await self._search(chunk)
        self._reporter.status(f"skips {_bad_records(len(self._found.bad))} of {self._found.records}")
        return self._found

    async def _search(self, chunk: Chunk) -> None:
        """Where the mapper fails in ways that no single records explain, a search is given up once it has taken more
        runs than the next bad record would have.
        """
        whole = Span(0, chunk.records)
        search = bisection(whole)
        span, runs = next(search), 0
        together: ApolloError | None = None
        singles = _Singles()
        with suppress(StopIteration):
            while runs < max_runs(chunk.records, singles.found + 1):
                error = await self._try(chunk, span)
                runs += 1
                together = together or error  # the first run is on all of them
                if error is not None and together is not None and span.records == 1:
                    singles.add(span.start, error, together)
                    self._quarantine(chunk, span.start, error)
                    self._check_allowance(chunk, singles, error, together)
                span = search.send(error is not None)
        if together is not None:
            if singles.others and (not singles.alike or await self._try(chunk, whole, singles.alike) is None):
                raise _otherwise(chunk, singles, together)
            self._found.unexplained |= not singles.found
        self._found.records += chunk.records

    def _check_allowance(self, chunk: Chunk, singles: "_Singles", error: ApolloError, together: ApolloError) -> None:
        if len(self._found.bad) <= self._allowed:
            return
        if singles.others and not singles.alike:
            raise _otherwise(chunk, singles, together)
        raise TooManyBadRecords(f"the program fails on more than {_bad_records(self._allowed)}; the last: {error}")

    async def _try(self, chunk: Chunk, span: Span, left_out: Sequence[int] = ()) -> ApolloError | None:
        """How the mapper fails on these records; None if it does not."""
        self._runs += 1
        self._reporter.add(BISECTION_RUNS, 1)
        self._reporter.status(
            f"looks for bad records: run {self._runs} of the mapper, {len(self._found.bad)} found in "
            f"{self._found.records + span.start} records"
        )
        records = _streamed(chunk.blocks(span))
        if left_out:
            records = skipping(records, Found(list(left_out), chunk.records))
        async with aclosing(records) as blocks:
            try:
                await self._mapper.map(blocks, _Nowhere())
            except ERRORS_OF_RECORDS as error:
                return error
        return None

    def _quarantine(self, chunk: Chunk, record: int, error: ApolloError) -> None:
        rows, row = chunk.row(record)
        content, block = rows.content(row), rows.block
        where = _place(chunk, record)
        if len(content) > MAX_BAD_RECORD_BYTES:
            raise BadRecordTooLarge(
                f"{where} makes the program fail, and with {len(content):,} bytes it is too large to be kept "
                f"aside (the limit is {MAX_BAD_RECORD_BYTES:,}), so it is not skipped: mend the program, or "
                f"take the record out of the input. It fails with: {error}"
            )
        failed = failed_event(error)
        size_bytes = len(content) + len(failed.stderr_tail)
        self._room_bytes -= size_bytes
        if self._room_bytes < 0:
            raise QuarantineFull(
                f"the bad records of the attempt take more room than there is to keep them, up to {where}: mend the "
                f"program, which fails with: {error}"
            )
        self._found.bad.append(self._found.records + record)
        self._reporter.add(BAD_RECORDS, 1)
        self._reporter.add(QUARANTINED_BYTES, size_bytes)
        self._tell(
            v1.BadRecord(
                number=len(self._found.bad),
                input_url=block.input_url,
                offset=rows.offset(row),
                content=content,
                line=block.lengths is None,
                reason=failed.reason,
                message=failed.message,
                exit_status=failed.exit_status,
                signal=failed.signal,
                stderr_tail=failed.stderr_tail,
            )
        )


class _Singles:
    """Records of a chunk that the mapper fails on alone, apart by whether it fails as it does on the whole chunk.

    The others may have a cause of their own, which the first hides; or the mapper only fails on them without the
    records before them.
    """

    def __init__(self) -> None:
        self.alike: list[int] = []
        self.others: list[tuple[int, ApolloError]] = []

    @property
    def found(self) -> int:
        return len(self.alike) + len(self.others)

    def add(self, record: int, error: ApolloError, together: ApolloError) -> None:
        if _cause(error) == _cause(together):
            self.alike.append(record)
        else:
            self.others.append((record, error))


def _cause(error: ApolloError) -> tuple[str, int, bool, str]:
    """How a program failed, without what differs from run to run: of what it said nothing but a traceback counts."""
    failed = failed_event(error)
    stderr = failed.stderr_tail.decode(errors="replace")
    said = ""
    if telling_lines(stderr).traceback:
        said = fingerprint(
            reason=failed.reason, program="", message="", exit_status=failed.exit_status, signal=None, stderr=stderr
        )
    return failed.reason, failed.exit_status, bool(failed.signal), said


def _otherwise(chunk: Chunk, singles: _Singles, together: ApolloError) -> RecordsFailOtherwise:
    record, error = singles.others[0]
    return RecordsFailOtherwise(
        f"no record is skipped: {_place(chunk, record)} may be good, for on it alone the map program fails otherwise "
        "than on the records together. It keeps something from one record to the next, such as a header line, and so "
        f"cannot be searched for bad ones: let it pass over them by itself. Together: {together}; alone: {error}"
    )


def _place(chunk: Chunk, record: int) -> str:
    rows, row = chunk.row(record)
    return f"the record at byte {rows.offset(row)} of {rows.block.input_url}"


async def skipping(blocks: AsyncGenerator[RecordBlock, None], found: Found) -> AsyncGenerator[RecordBlock, None]:
    """The records that were searched, but for those found. Blocks may be cut otherwise than when they were searched."""
    first = 0
    async with aclosing(blocks):
        async for block in blocks:
            if first + block.count > found.records:
                block = RecordRows(block).slice(0, found.records - first)  # noqa: PLW2901 - the rest is not to be mapped
            bad = found.bad[bisect_left(found.bad, first) : bisect_left(found.bad, first + block.count)]
            for good in without(block, [number - first for number in bad]):
                yield good
            first += block.count
            if first == found.records:
                return


def tell_of_search(error: ProgramError, found: Found) -> None:
    """Add to a failure of the second pass that skipping has not helped."""
    words = "the program fails on no single record, and so none can be said to be bad"
    if found.unexplained:
        words = (
            "the program fails on records only together, and on no single one: it keeps something from one to the "
            "next, such as a header line or a sum, and so cannot be searched for bad ones"
        )
    if found.bad:
        words = f"{_bad_records(len(found.bad))} of the input were left out, and it fails on no other single one"
    error.args = (f"{error}{SEARCHED}{words}",)


class Unheard:
    """A ProgramObserver of runs that only tell whether a program fails."""

    def started(self, process_id: int) -> None: ...

    def counter(self, group: str, name: str, increment: int) -> None:  # noqa: ARG002 - the protocol's signature
        check_counter_group(group, name)

    def status(self, message: str) -> None: ...

    def stderr(self, content: bytes) -> None: ...


class _Nowhere:
    """A PairSink that drops what it gets."""

    async def pairs(self, batch: PairBatch) -> None: ...

    async def raw(self, content: bytes | memoryview) -> None: ...


async def _streamed(blocks: Iterator[RecordBlock]) -> AsyncGenerator[RecordBlock, None]:
    for block in blocks:
        yield block


def _bad_records(count: int) -> str:
    return "1 bad record" if count == 1 else f"{count} bad records"
