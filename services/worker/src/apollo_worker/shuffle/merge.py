"""Merges the segments of one reduce partition into one stream in key order, in bounded memory.

The key space is cut into slices that fit the budget. For each slice every run is cut by bisection, the pieces are
sorted at once and passed on. Runs are taken in the order of map tasks and emission and the sort is stable, so the
values of a key keep that order. When one batch of every run would not fit, neighbouring runs are merged to scratch
files first, in passes. A scratch file goes as soon as all its runs are merged into another: together they stay
within a little more than twice the partition.
"""

import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

from apollo_common.assignment import MapOutputRef
from apollo_common.errors import ApolloError, TemporaryError, VolumeFull
from apollo_common.threads import in_thread
from apollo_common.timings import Step
from apollo_worker.core.columns import PairBatch
from apollo_worker.core.merge_plan import Batch, plan_pass, plan_slices
from apollo_worker.shuffle.arena import MAX_BUDGET_BYTES, ROW_COST_BYTES, PairArena
from apollo_worker.shuffle.arrow import pair_batch
from apollo_worker.shuffle.data_file import BATCH_BYTES, DataFile
from apollo_worker.shuffle.group import key_at
from apollo_worker.shuffle.scratch import Scratch
from apollo_worker.shuffle.segment_index import FIRST_KEY_BYTES
from apollo_worker.shuffle.segments import Run, SegmentReader
from apollo_worker.shuffle.store import MapOutputStore
from apollo_worker.shuffle.threads import iterate_in_thread
from apollo_worker.steps import Timed, counting, doing

PATIENCE_S = 60.0
OUTPUT_BATCH_BYTES = 1 << 20
SLICE_BYTES = 32 << 20  # Larger slices touch more fresh memory and miss caches, ...
_BOUNDARIES_PER_SLICE = 4  # ... smaller ones of many runs cut them all for a few pairs.


async def merged(
    outputs: Sequence[MapOutputRef],
    store: MapOutputStore,
    partition: int,
    budget_bytes: int,
    *,
    patience_s: float = PATIENCE_S,
    scratch: Path | None = None,
    scratch_limit_bytes: int = sys.maxsize,
    counted: Callable[[int, int], None] = lambda _rows, _size_bytes: None,
) -> AsyncGenerator[PairBatch, None]:
    """All pairs of a partition in key order, in batches of about 1 MiB; a key's values by map task, then by emission.

    `outputs` are in map task order. One that is missing on a volume is waited for up to `patience_s`. Scratch files,
    needed for very many runs and by stores that are no volume, lie in a directory of their own below `scratch`
    (default: the system's temporary directory) and have at most `scratch_limit_bytes` at a time. `counted` is told the
    partition's pairs and its bytes in the map outputs before the first batch. Errors: FetchFailed, VolumeFull,
    ScratchExceeded; those of the store.
    """
    reader = SegmentReader(patience_s)
    size_bytes = 0
    own = Scratch(scratch, scratch_limit_bytes)
    merge = _Merge(reader, min(budget_bytes, MAX_BUDGET_BYTES), own)
    try:
        with doing(Step.READ):
            runs = await store.runs(outputs, partition, reader, own)
        rows, size_bytes = await in_thread(_size, runs)
        counted(rows, size_bytes)
        pairs = merge.pairs(runs)
        async with aclosing(iterate_in_thread(pairs, reader.stop)) as batches:
            async for batch in Timed(Step.MERGE, batches):
                yield batch
                del batch  # a batch may be one large pair: none is kept while the next is awaited
    except VolumeFull as error:
        await in_thread(own.tell_of_room, error, size_bytes)
        raise
    finally:
        await in_thread(_close, reader, own)


class _Merge:
    """The blocking work behind `merged`."""

    def __init__(self, reader: SegmentReader, budget_bytes: int, scratch: Scratch) -> None:
        # What remains of the budget holds one batch of every run, then the batch that is being read or passed on.
        self._most_slice_bytes = budget_bytes // 2
        self._boundary_bytes = budget_bytes // 4
        self._small_batch_bytes = min(BATCH_BYTES, budget_bytes // 16)
        self._output_batch_bytes = min(OUTPUT_BATCH_BYTES, budget_bytes // 16)
        self._reader = reader
        self._scratch = scratch
        self._files_made = 0

    def pairs(self, runs: list[Run]) -> Iterator[PairBatch]:
        while len(groups := plan_pass([_boundary_cost(run) for run in runs], self._boundary_bytes)) > 1:
            runs = self._pass(runs, groups)
        yield from self._merge(runs, self._output_batch_bytes)

    def _pass(self, runs: Sequence[Run], groups: Sequence[range]) -> list[Run]:
        """Each group merged to one run; one that is alone stays what it is."""
        needed = Counter(run.path for run in runs)
        merged_runs = []
        for group in groups:
            members = [runs[number] for number in group]
            if len(members) == 1:
                merged_runs += members
                continue
            merged_runs.append(self._to_file(members))
            done = Counter(run.path for run in members)
            needed.subtract(done)
            self._free(path for path in done if not needed[path])
        return merged_runs

    def _free(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if self._scratch.holds(path):
                self._reader.forget(path)
                self._scratch.free(path)

    def _merge(self, runs: Sequence[Run], batch_bytes: int) -> Iterator[PairBatch]:
        batches = [batch for run in runs for batch in _plan_batches(run)]
        boundary = sum(_boundary_cost(run) for run in runs)
        total = sum(batch.cost_bytes for batch in batches)
        slice_bytes = min(max(SLICE_BYTES, _BOUNDARIES_PER_SLICE * boundary), self._most_slice_bytes)
        arena = PairArena(min(slice_bytes + boundary, total))
        cursors = [_Cursor(self._reader, run) for run in runs]
        for cut in plan_slices(batches, slice_bytes):
            yield from _sorted_slice(cursors, arena, cut.key, batch_bytes)
            if cut.streamed and cut.whole_key:
                yield from _streamed(cursors, cut.key)
            elif cut.streamed:
                yield from _batchwise(cursors, arena, cut.key, batch_bytes)
        yield from _sorted_slice(cursors, arena, None, batch_bytes)

    def _to_file(self, runs: Sequence[Run]) -> Run:
        """Merge some runs to one in a scratch file."""
        path = self._scratch.directory() / f"merged-{self._files_made}.arrow"
        self._files_made += 1
        file = DataFile(path, self._small_batch_bytes, self._reader.stopped, self._scratch.space)
        try:
            for batch in self._merge(runs, self._small_batch_bytes):
                file.write_batch(batch)
            file.end_run()
            file.finish()
        except BaseException:
            file.discard()
            raise
        return Run(path, file.entries(), file.first_keys, _scratch_failure)


class _Cursor:
    """A place in one run. Holds at most one batch, and none that has a single pair, which may be large."""

    def __init__(self, reader: SegmentReader, run: Run) -> None:
        self._reader = reader
        self._run = run
        self._next = 0
        self._rest: PairBatch | None = None

    def below(self, bound: bytes | None) -> Iterator[PairBatch]:
        """The pairs from here on whose keys are below `bound` (None: all); moves behind them."""
        while self._rest is not None or (
            self._next < len(self._run) and (bound is None or self._run.first_keys[self._next] < bound)
        ):
            batch = self._load()
            count = len(batch)
            if bound is not None and key_at(batch, count - 1) >= bound:
                count = bisect_left(range(count), bound, key=lambda row: key_at(batch, row))
            self._move(batch, count)
            ends_here = count < len(batch)
            if count:
                yield batch.slice(0, count)
            del batch  # before the next one is read
            if ends_here:
                return

    def equal(self, key: bytes) -> Iterator[PairBatch]:
        """The pairs from here on that have `key`, which no pair from here on is below; moves behind them."""
        start = key[:FIRST_KEY_BYTES]
        while self._rest is not None or (self._next < len(self._run) and self._run.first_keys[self._next] <= start):
            batch = self._load()
            count = len(batch)
            if key_at(batch, count - 1) > key:
                count = bisect_right(range(count), key, key=lambda row: key_at(batch, row))
            self._move(batch, count)
            ends_here = count < len(batch)
            if count:
                yield batch.slice(0, count)
            del batch  # before the next one is read
            if ends_here:
                return

    def last_key(self) -> bytes | None:
        """The last key of the batch that comes next, None at the end."""
        if self._rest is None and self._next == len(self._run):
            return None
        batch = self._load()
        self._move(batch, 0)
        return key_at(batch, len(batch) - 1)

    def _load(self) -> PairBatch:
        if self._rest is None:
            with counting(Step.MERGE, as_=Step.READ):
                self._rest = self._reader.batch(self._run, self._next)
            self._next += 1
        return self._rest

    def _move(self, batch: PairBatch, count: int) -> None:
        """Go on `count` pairs in `batch`, the one that was loaded."""
        self._rest = batch.slice(count, len(batch)) if count < len(batch) else None
        if not count and self._run.entries["rows"][self._next - 1] == 1:
            self._rest = None
            self._next -= 1


def _sorted_slice(
    cursors: Sequence[_Cursor], arena: PairArena, bound: bytes | None, batch_bytes: int
) -> Iterator[PairBatch]:
    for cursor in cursors:
        for piece in cursor.below(bound):
            if arena.append(piece) < len(piece):
                raise RuntimeError("a slice of a merge is larger than planned")
            del piece
    pairs = arena.sort()
    for chunk in pairs.chunks(batch_bytes):
        yield pair_batch(pairs.take(chunk))
    arena.clear()


def _streamed(cursors: Sequence[_Cursor], key: bytes) -> Iterator[PairBatch]:
    """The pairs of a key that are too many for a slice."""
    for cursor in cursors:
        yield from cursor.equal(key)


def _batchwise(cursors: Sequence[_Cursor], arena: PairArena, beginning: bytes, batch_bytes: int) -> Iterator[PairBatch]:
    """The pairs of keys that begin alike, of which an index tells no more, up to where a batch goes beyond them.

    What is below the least last key of the batches that come next lies in these batches: each run's boundary.
    """
    while (key := _least_last_key(cursors)) is not None and key.startswith(beginning):
        yield from _sorted_slice(cursors, arena, key, batch_bytes)
        yield from _streamed(cursors, key)


def _least_last_key(cursors: Sequence[_Cursor]) -> bytes | None:
    return min((key for cursor in cursors if (key := cursor.last_key()) is not None), default=None)


def _size(runs: Sequence[Run]) -> tuple[int, int]:
    """Pairs and bytes."""
    rows = sum(int(run.entries["rows"].sum(dtype="i8")) for run in runs)
    return rows, sum(int(run.entries["length_bytes"].sum(dtype="i8")) for run in runs)


def _close(reader: SegmentReader, scratch: Scratch) -> None:
    reader.close()
    scratch.remove()


def _plan_batches(run: Run) -> Iterator[Batch]:
    costs = (run.entries["length_bytes"] + run.entries["rows"].astype("i8") * ROW_COST_BYTES).tolist()
    for number, cost in enumerate(costs):
        yield Batch(run.first_keys[number], run.whole_key(number), cost)


def _boundary_cost(run: Run) -> int:
    """Cost of the largest batch that a cursor may hold."""
    rows = run.entries["rows"].astype("i8")
    costs = run.entries["length_bytes"] + rows * ROW_COST_BYTES
    return int(costs[rows > 1].max(initial=0))


def _scratch_failure(why: str) -> ApolloError:
    return TemporaryError(f"cannot read a scratch file of the merge: {why}")
