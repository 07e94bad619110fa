import tempfile
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apollo_common.assignment import DATA_FILE
from apollo_common.errors import RecordTooLarge
from apollo_worker.core.budget import MIN_BUDGET_BYTES
from apollo_worker.core.columns import PairBatch
from apollo_worker.shuffle.builtins import builtin
from apollo_worker.shuffle.group import grouped
from apollo_worker.shuffle.map_output import MapOutputWriter
from apollo_worker.shuffle.merge import merged
from apollo_worker.shuffle.partition import parse_partitioner
from apollo_worker.shuffle.volume_store import VolumeStore
from support.fuzz import examples
from support.shuffling import (
    batches,
    groups_of,
    read_partition,
    reference_partition,
    streamed,
    write_map_output,
)

HOT = b"hot key"
KEYS = st.one_of(
    st.just(HOT),
    st.sampled_from([b"", b"\0", b"\0\0", b"a", b"a\0", b"b\tc\n"]),
    st.binary(max_size=20),
    st.sampled_from([b"p" * 1024, b"p" * 1024 + b"q", b"p" * 1500, b"p" * 1024 + b"\0"]),
)
VALUES = st.binary(max_size=12) | st.just(b"v" * 3000) | st.just(b"12345678")
MAPS = st.lists(
    st.lists(st.tuples(KEYS, VALUES), max_size=60).flatmap(lambda pairs: st.just(pairs) | st.just(pairs * 40)),
    max_size=4,
)
SLOW = settings(max_examples=examples(20), suppress_health_check=list(HealthCheck))


@SLOW
@given(MAPS, st.sampled_from([1, 4, 16]), st.sampled_from([MIN_BUDGET_BYTES, 1 << 20]), st.sampled_from([1, 50]))
async def test_every_partition_holds_its_pairs_in_key_order_and_values_in_emission_order(
    maps, partitions, budget, size
):
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder)
        outputs = []
        for number, pairs in enumerate(maps):
            batch_size = max(size, len(pairs) // 20)
            output, summary = await write_map_output(
                volume, number, pairs, partitions, budget_bytes=budget, batch_size=batch_size
            )
            assert summary.records == summary.spilled.records == len(pairs)
            outputs.append(output)
        for partition in range(partitions):
            everything = [
                pair for pairs in maps for pair in pairs if reference_partition(pair[0], partitions) == partition
            ]
            expected = sorted(everything, key=lambda pair: pair[0])
            assert await read_partition(outputs, volume, partition, budget_bytes=budget) == expected


async def test_what_is_spilled_is_told_while_pairs_still_come(tmp_path):
    pairs = [(b"%d" % number, b"v" * 100) for number in range(5_000)]
    writer = MapOutputWriter(tmp_path, 1, parse_partitioner("hash"), MIN_BUDGET_BYTES)
    runs = []
    for batch in batches(pairs, 500):
        await writer.add(batch)
        runs.append(writer.spilled.runs)
    assert runs[0] < runs[-1]
    assert 0 < writer.spilled.records <= len(pairs)
    assert (await writer.finish()).spilled.records == len(pairs)


async def test_a_thousand_partitions_and_many_spills(tmp_path):
    pairs = [(b"%d" % (number * 7919 % 5000), b"%d" % number) for number in range(20_000)]
    output, summary = await write_map_output(tmp_path, 0, pairs, 1000, budget_bytes=256 << 10)
    assert summary.spilled.runs > 3
    found = {}
    for partition in range(1000):
        found[partition] = await read_partition([output], tmp_path, partition)
    expected = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: pair[0]):
        expected[reference_partition(pair[0], 1000)].append(pair)
    assert found == {partition: expected[partition] for partition in range(1000)}


@pytest.mark.parametrize("budget_bytes", [MIN_BUDGET_BYTES, 1 << 20])
async def test_more_runs_than_fit_are_merged_in_passes_and_leave_no_scratch(tmp_path, budget_bytes):
    scratch = tmp_path / "not" / "made yet"
    outputs, everything = [], []
    for number in range(60):
        pairs = [(b"k%03d" % (row * 31 % 400), b"%d.%d" % (number, row)) for row in range(400)]
        everything += pairs
        outputs.append((await write_map_output(tmp_path, number, pairs, 1))[0])
    found = []
    async for batch in merged(outputs, VolumeStore(tmp_path), 0, budget_bytes, scratch=scratch):
        found += batch.to_pairs()
    assert found == sorted(everything, key=lambda pair: pair[0])
    assert list(scratch.iterdir()) == []


async def test_what_a_partition_holds_is_told_before_its_first_batch(tmp_path):
    pairs = [(b"k%03d" % row, b"v" * 100) for row in range(500)]
    outputs = [(await write_map_output(tmp_path, number, pairs, 1))[0] for number in range(3)]
    stored_bytes = sum((tmp_path / output.path / DATA_FILE).stat().st_size for output in outputs)
    told: list[tuple[int, int]] = []
    async for _ in merged(
        outputs, VolumeStore(tmp_path), 0, 1 << 20, counted=lambda rows, size: told.append((rows, size))
    ):
        assert len(told) == 1
    ((rows, size_bytes),) = told
    assert rows == 1500
    assert 3 * 500 * 104 < size_bytes <= stored_bytes


async def test_a_hot_key_streams_in_order_of_map_tasks(tmp_path):
    outputs, everything = [], []
    for number in range(3):
        pairs = [(HOT, b"%d.%06d" % (number, row)) for row in range(20_000)] + [(b"a", b""), (b"z", b"")]
        everything += pairs
        outputs.append((await write_map_output(tmp_path, number, pairs, 1, batch_size=5000))[0])
    expected = sorted(everything, key=lambda pair: pair[0])
    assert await read_partition(outputs, tmp_path, 0, budget_bytes=MIN_BUDGET_BYTES) == expected


async def test_long_keys_that_begin_alike_and_exceed_a_slice(tmp_path):
    outputs, everything = [], []
    for number in range(3):
        pairs = [(b"p" * 1024 + b"%d" % (row * 17 % 50), b"%d.%d" % (number, row)) for row in range(200)]
        everything += [*pairs, (b"p" * 1023, b"before"), (b"q", b"behind")]
        outputs.append((await write_map_output(tmp_path, number, everything[-202:], 1))[0])
    expected = sorted(everything, key=lambda pair: pair[0])
    assert await read_partition(outputs, tmp_path, 0, budget_bytes=MIN_BUDGET_BYTES) == expected


async def test_records_up_to_a_quarter_of_the_budget(tmp_path):
    budget = 1 << 20
    sizes = [budget // 4 - 4, 5, budget // 4 - 4, 100_000]
    pairs = [(b"k%03d" % (3 - row), bytes([row]) * size) for row, size in enumerate(sizes)]
    outputs = [(await write_map_output(tmp_path, number, pairs, 2, budget_bytes=budget))[0] for number in range(5)]
    found = [await read_partition(outputs, tmp_path, partition, budget_bytes=budget) for partition in range(2)]
    assert sorted(found[0] + found[1]) == sorted(pairs * 5)


async def test_a_larger_record_is_refused_by_name_of_the_setting(tmp_path):
    with pytest.raises(RecordTooLarge, match=r"key of 3 bytes and a value of 300000 bytes .* memoryBudget"):
        await write_map_output(tmp_path, 0, [(b"a", b""), (b"key", b"v" * 300_000)], 2)


async def test_a_batch_larger_than_the_buffer_is_cut(tmp_path):
    pairs = [(b"%06d" % (row * 7919 % 30_000), b"x" * 50) for row in range(30_000)]
    output, summary = await write_map_output(tmp_path, 0, pairs, 1, budget_bytes=512 << 10, batch_size=30_000)
    assert summary.spilled.runs > 5
    assert await read_partition([output], tmp_path, 0) == sorted(pairs)


async def test_the_data_file_is_one_arrow_stream(tmp_path):
    pairs = [(b"%d" % row, b"v%d" % row) for row in range(1000)]
    output, summary = await write_map_output(tmp_path, 0, pairs, 4)
    with pa.OSFile(str(tmp_path / output.path / "data.arrow"), "rb") as file:
        table = pa.ipc.open_stream(file).read_all()
    assert sorted(zip(*(column.to_pylist() for column in table.columns), strict=True)) == sorted(pairs)
    assert sum(summary.partition_bytes) < summary.size_bytes
    assert len(summary.partition_bytes) == 4


async def test_an_empty_map_output(tmp_path):
    output, summary = await write_map_output(tmp_path, 0, [], 3)
    assert summary.records == summary.spilled.runs == sum(summary.partition_bytes) == 0
    assert [await read_partition([output], tmp_path, partition) for partition in range(3)] == [[], [], []]


async def test_abort_leaves_nothing(tmp_path):
    writer = MapOutputWriter(tmp_path / "attempt", 2, parse_partitioner("hash"), MIN_BUDGET_BYTES)
    for batch in batches([(b"k", b"v" * 1000)] * 200, 50):
        await writer.add(batch)
    assert (tmp_path / "attempt" / "data.arrow").exists()
    await writer.abort()
    assert list(tmp_path.iterdir()) == []


async def test_abort_after_finish_and_before_anything(tmp_path):
    for fill in (False, True):
        writer = MapOutputWriter(tmp_path / "attempt", 2, parse_partitioner("hash"), MIN_BUDGET_BYTES)
        if fill:
            await writer.finish()
        await writer.abort()
        await writer.abort()
        assert list(tmp_path.iterdir()) == []


@SLOW
@given(st.lists(st.tuples(st.sampled_from(b"abcdef").map(lambda b: bytes([b])), st.integers(-9, 99)), max_size=300))
async def test_a_combiner_changes_sizes_and_not_sums(pairs):
    emitted = [(key, b"%d" % number) for key, number in pairs] * 30
    totals = defaultdict(int)
    for key, number in pairs:
        totals[key] += 30 * number
    with tempfile.TemporaryDirectory() as folder:
        output, summary = await write_map_output(
            Path(folder), 0, emitted, 2, budget_bytes=MIN_BUDGET_BYTES, combiner=builtin("sum", "combine")
        )
        found = defaultdict(int)
        for partition in range(2):
            for key, value in await read_partition([output], Path(folder), partition):
                assert reference_partition(key, 2) == partition
                found[key] += int(value)
    assert found == totals
    assert summary.records == len(emitted)
    assert summary.spilled.records == summary.spilled.combine_output_records <= len(emitted)


async def test_a_combiner_that_grows_its_input(tmp_path):
    class Doubling:
        async def combine(self, pairs):
            async for batch in pairs:
                yield PairBatch.from_pairs([pair for key, value in batch.to_pairs() for pair in [(value, key)] * 2])

    pairs = [(b"k%d" % row, b"v" * 60 + b"%d" % (row % 100)) for row in range(3000)]
    output, summary = await write_map_output(tmp_path, 0, pairs, 1, budget_bytes=128 << 10, combiner=Doubling())
    expected = sorted((value, key) for key, value in pairs for _ in range(2))
    assert sorted(await read_partition([output], tmp_path, 0)) == expected
    assert summary.spilled.combine_output_records == summary.spilled.records == 6000


@SLOW
@given(
    st.lists(st.tuples(st.sampled_from([b"", b"a", b"a\0", b"b"]), st.binary(max_size=3)), max_size=60),
    st.integers(1, 9),
)
async def test_groups_go_on_over_batches(pairs, size):
    ordered = sorted(pairs, key=lambda pair: pair[0])
    found = []
    async for batch in grouped(streamed(batches(ordered, size))):
        groups = groups_of(batch)
        if batch.continues:
            assert groups[0][0] == found[-1][0]
            found[-1][1].extend(groups[0][1])
            groups = groups[1:]
        found += groups
    expected = defaultdict(list)
    for key, value in ordered:
        expected[key].append(value)
    assert found == list(expected.items())
