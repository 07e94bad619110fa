import re
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.errors import InvalidValue, PermanentError, RecordTooLarge, UnknownBuiltin
from apollo_worker.core.columns import PairBatch
from apollo_worker.ports import ProgramResult
from apollo_worker.shuffle.builtins import builtin
from apollo_worker.shuffle.combine import ProgramCombiner
from support.shuffling import batches, collected, streamed

KEYS = st.sampled_from([b"", b"\0", b"a", b"a\0", b"b", b"longer than eight bytes"])
SMALL = st.integers(-1000, 1000)
ANY_SIZE = st.one_of(SMALL, st.sampled_from([2**63 - 1, -(2**63), 2**63, 2**62]), st.integers(-(10**40), 10**40))
NUMBERS = st.sampled_from([SMALL, ANY_SIZE]).flatmap(lambda numbers: st.lists(st.tuples(KEYS, numbers), max_size=80))
WRITINGS = ["%d", "%+d", "%05d"]


class Collecting:
    def __init__(self):
        self.found = []

    async def pairs(self, batch):
        self.found += batch.to_pairs()

    async def raw(self, content):
        raise AssertionError("no raw output")


async def reduce(name, pairs, size, **options):
    sink = Collecting()
    result = await builtin(name, "reduce", **options).reduce(streamed(batches(pairs, size)), sink)
    assert result.input_records == len(pairs)
    assert result.output_records == len(sink.found)
    return sink.found


def by_key(pairs):
    groups = defaultdict(list)
    for key, value in sorted(pairs, key=lambda pair: pair[0]):
        groups[key].append(value)
    return groups


@given(
    NUMBERS, st.sampled_from([("sum", sum), ("min", min), ("max", max)]), st.integers(1, 30), st.sampled_from(WRITINGS)
)
async def test_numbers_of_any_size_are_folded_exactly(pairs, fold, size, writing):
    name, reference = fold
    written = sorted(((key, (writing % number).encode()) for key, number in pairs), key=lambda pair: pair[0])
    expected = [(key, b"%d" % reference(numbers)) for key, numbers in by_key(pairs).items()]
    assert await reduce(name, written, size) == expected
    combined = builtin(f"builtin:{name}", "combine").combine(streamed(batches(written, size)))
    assert await collected(combined) == expected


@given(
    st.lists(st.tuples(KEYS, st.binary(max_size=4) | st.text("0123456789+-_ .eE\u0660", max_size=5).map(str.encode))),
    st.integers(1, 30),
)
async def test_any_values_are_added_up_or_refused(pairs, size):
    ordered = sorted(pairs, key=lambda pair: pair[0])
    if all(re.fullmatch(rb"[+-]?[0-9]+", value) for _, value in pairs):
        expected = [(key, b"%d" % sum(map(int, values))) for key, values in by_key(ordered).items()]
        assert await reduce("sum", ordered, size) == expected
    else:
        with pytest.raises(InvalidValue):
            await reduce("sum", ordered, size)


async def test_a_sum_beyond_64_bits_does_not_wrap():
    pairs = [(b"k", b"%d" % (2**62))] * 9
    for size in (1, 2, 9):
        assert await reduce("sum", pairs, size) == [(b"k", b"%d" % (9 * 2**62))]


@given(st.lists(st.tuples(KEYS, st.binary(max_size=3)), max_size=80), st.integers(1, 30))
async def test_count(pairs, size):
    ordered = sorted(pairs, key=lambda pair: pair[0])
    assert await reduce("count", ordered, size) == [(key, b"%d" % len(values)) for key, values in by_key(pairs).items()]


@given(
    st.lists(st.tuples(KEYS, st.binary(max_size=2) | st.sampled_from([b"\0", b"\0\0"])), max_size=80),
    st.integers(1, 30),
)
async def test_unique_keeps_each_value_once_in_byte_order(pairs, size):
    ordered = sorted(pairs, key=lambda pair: pair[0])
    expected = [(key, value) for key, values in by_key(pairs).items() for value in sorted(set(values))]
    assert await reduce("unique", ordered, size) == expected
    combined = await collected(builtin("unique", "combine").combine(streamed(batches(ordered, size))))
    assert sorted(set(combined)) == expected
    assert len(combined) <= len(pairs)


async def test_unique_of_a_large_group_is_bounded_by_its_distinct_values():
    pairs = [(b"key", b"%040d" % (row % 1000)) for row in range(60_000)]
    expected = [(b"key", b"%040d" % row) for row in range(1000)]
    assert await reduce("unique", pairs, 1000, budget_bytes=100_000) == expected
    with pytest.raises(RecordTooLarge, match="key of 3 bytes take more than 20000 bytes"):
        await reduce("unique", pairs, 1000, budget_bytes=20_000)


async def test_unique_emits_a_large_group_in_batches():
    values = [b"%040d" % row for row in range(50_000)]
    source = builtin("unique", "reduce").combine(streamed(batches([(b"k" * 100, value) for value in values], 5000)))
    sizes, found = [], []
    async for batch in source:
        sizes.append(batch.size_bytes)
        found += batch.to_pairs()
    assert found == [(b"k" * 100, value) for value in values]
    assert max(sizes) <= 1 << 20


@given(st.lists(st.tuples(KEYS, st.binary(max_size=3)), max_size=40), st.integers(1, 9))
async def test_identity_passes_everything(pairs, size):
    assert await reduce("identity", pairs, size) == pairs


@pytest.mark.parametrize("name", ["sum", "min", "max"])
@pytest.mark.parametrize(
    "value", [b"", b"1.5", b"1e3", b"0x10", b" 1", b"1\n", b"-", b"--1", b"1-", b"word", "\u0661".encode(), b"9" * 5000]
)
async def test_what_is_no_integer_is_named_with_its_key(name, value):
    with pytest.raises(InvalidValue, match=r"the key 'the key' has the value '.* no decimal integer"):
        await reduce(name, [(b"a", b"1"), (b"the key", b"2"), (b"the key", value)], 2)


def test_count_is_no_combiner():
    with pytest.raises(UnknownBuiltin, match="use builtin:sum"):
        builtin("count", "combine")


@pytest.mark.parametrize("name", ["builtin:median", "", "Sum"])
def test_an_unknown_builtin_names_those_that_exist(name):
    with pytest.raises(UnknownBuiltin, match=r"builtin:identity.*builtin:unique"):
        builtin(name, "reduce")


class Echo:
    """A program that emits every pair twice, and reuses its memory as soon as the sink returns."""

    def __init__(self, *, failing=False):
        self.failing = failing

    async def reduce(self, pairs, sink):
        records = 0
        async for batch in pairs:
            for _ in range(2):
                memory = batch.value_bytes.copy()
                await sink.pairs(PairBatch(batch.key_offsets, batch.key_bytes, batch.value_offsets, memory))
                memory[:] = 0
            records += len(batch)
            if self.failing:
                raise InvalidValue("the program failed")
        return ProgramResult(input_records=records, output_records=2 * records)


async def test_a_program_combines():
    pairs = [(b"k%d" % row, b"value%d" % row) for row in range(10)]
    combiner = ProgramCombiner(Echo())
    for _ in range(2):
        found = await collected(combiner.combine(streamed(batches(pairs, 3))))
        assert sorted(found) == sorted(pairs * 2)


async def test_a_failing_program_fails_the_combiner():
    with pytest.raises(InvalidValue, match="the program failed"):
        await collected(ProgramCombiner(Echo(failing=True)).combine(streamed(batches([(b"k", b"v")] * 9, 3))))


async def test_a_combiner_that_is_left_early_stops_its_program():
    source = ProgramCombiner(Echo()).combine(streamed(batches([(b"k", b"v")] * 9, 3)))
    await anext(source)
    await source.aclose()


async def test_a_program_that_writes_raw_output_is_no_combiner():
    class Raw:
        async def reduce(self, pairs, sink):
            await sink.raw(b"text")

    with pytest.raises(PermanentError, match="raw output"):
        await collected(ProgramCombiner(Raw()).combine(streamed([])))
