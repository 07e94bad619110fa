"""Where rows are cut at splitters, and what a sampler keeps of a mapper's keys."""

from bisect import bisect_right
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.errors import PermanentError
from apollo_common.key_parts import parse_key_parts
from apollo_common.key_samples import MAX_KEY_BYTES
from apollo_worker import sampling
from apollo_worker.core.columns import PairBatch
from apollo_worker.sampling import KeySampler, beginning
from apollo_worker.shuffle.key_order import KeyOrder
from apollo_worker.shuffle.key_ranges import KeyRanges
from apollo_worker.shuffle.key_rules import KeyRules
from apollo_worker.shuffle.keys import SPARE_BYTES
from apollo_worker.shuffle.sort import sort_rows
from support.sessions import lines_block, stream
from support.shuffling import read_partition, write_map_output

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "partitioners.md"
LONG = b"x" * MAX_KEY_BYTES
KEYS = st.lists(st.one_of(st.binary(max_size=3), st.sampled_from([LONG, LONG + b"a", LONG + b"b"])), max_size=80)


def partitions_of(keys: list[bytes], splitters: list[bytes], partitions: int) -> list[list[bytes]]:
    batch = PairBatch.from_pairs([(key, b"") for key in keys])
    content = np.concatenate([batch.key_bytes, np.zeros(SPARE_BYTES, np.uint8)])
    rows = sort_rows(batch.key_offsets, content, KeyRanges(tuple(splitters)), partitions)
    assert rows.counts.sum() == len(keys)
    found = [keys[row] for row in rows.order]
    return [[found.pop(0) for _ in range(count)] for count in rows.counts.tolist()]


@given(KEYS, st.sets(st.one_of(st.binary(max_size=3), st.just(LONG)), max_size=6).map(sorted))
def test_rows_are_cut_where_bisection_says(keys, splitters):
    partitions = len(splitters) + 2
    expected: list[list[bytes]] = [[] for _ in range(partitions)]
    for key in sorted(keys):
        expected[bisect_right(splitters, key)].append(key)
    assert partitions_of(keys, splitters, partitions) == expected


def test_many_rows_with_repeats_are_cut():
    keys = [b"%03d" % (row * 7919 % 200) for row in range(20_000)]
    found = partitions_of(keys, [b"050", b"100", b"100x"], 4)
    assert [len(part) for part in found] == [5000, 5000, 100, 9900]


def test_range_matches_the_documentation():
    text = DOCUMENTATION.read_text().split("## range\n")[1].split("\n## ")[0]
    rows = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in text.splitlines() if row[:3] == "| `"]
    assert len(rows) >= 5
    for key, splitters, partition in rows:
        cuts = [bytes.fromhex(splitter.strip("`")) for splitter in splitters.split(", ")]
        found = partitions_of([bytes.fromhex(key.strip("-"))], cuts, len(cuts) + 1)
        assert [len(part) for part in found].index(1) == int(partition)


async def test_parts_follow_one_another_in_the_order_of_the_job(tmp_path):
    """Splitters of a job with an order of its own are prefixed keys, like those that are shuffled."""
    pairs = [(b"k%d\t%d" % (row % 10, row * 7919 % 1000 - 500), b"") for row in range(5000)]
    rules = KeyRules(order=KeyOrder(parse_key_parts("-k2,2nr")))
    sampler = KeySampler(rules.order)
    await sampler.pairs(PairBatch.from_pairs(pairs))
    share = len(sampler.kept) // 4
    chosen = sorted(sampler.kept)[share : 4 * share : share]
    output, _ = await write_map_output(
        tmp_path, 0, pairs, 4, rules=rules, partitioner="range", splitters=chosen, budget_bytes=1 << 18
    )
    parts = [await read_partition([output], tmp_path, partition, rules=rules) for partition in range(4)]
    assert min(map(len, parts)) > 500
    numbers = [int(key.split(b"\t")[1]) for part in parts for key, _ in part]
    assert numbers == sorted((int(key.split(b"\t")[1]) for key, _ in pairs), reverse=True)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=12), st.integers(1, 40))
async def test_a_sampler_keeps_keys_evenly(sizes, most):
    sampler = KeySampler(None, max_keys=most)
    keys = [b"%06d" % number for number in range(sum(sizes))]
    start = 0
    for size in sizes:
        await sampler.pairs(PairBatch.from_pairs([(key, b"v") for key in keys[start : start + size]]))
        start += size
    kept = [int(key) for key in sampler.kept]
    assert sampler.records == len(keys)
    assert len(kept) <= most
    steps = {after - before for before, after in pairwise(kept)}
    assert len(steps) <= 1
    assert not keys or (kept[0] == 0 and len(keys) - kept[-1] <= (steps.pop() if steps else 2 * len(keys)))


async def test_a_sampler_touches_few_of_the_keys_of_a_large_batch(monkeypatch):
    """Only those may cost a step of Python each."""
    touched: list[int] = []
    taken = sampling.take_keys

    def counting(batch: PairBatch, rows: np.ndarray):
        touched.append(len(rows))
        return taken(batch, rows)

    monkeypatch.setattr(sampling, "take_keys", counting)
    sampler = KeySampler(None, max_keys=100)
    await sampler.pairs(PairBatch.from_pairs([(b"%05d" % number, b"") for number in range(50_000)]))
    assert sum(touched) <= 100
    assert len(sampler.kept) >= 50


async def test_a_sampler_bounds_bytes_and_cuts_keys():
    sampler = KeySampler(None, max_bytes=10 * MAX_KEY_BYTES)
    await sampler.pairs(PairBatch.from_pairs([(b"%04d" % number + b"x" * 2000, b"") for number in range(100)]))
    assert {len(key) for key in sampler.kept} == {MAX_KEY_BYTES}
    assert 4 <= len(sampler.kept) <= 10


async def test_a_sampler_takes_no_raw_output():
    with pytest.raises(PermanentError, match="emit pairs"):
        await KeySampler(None).raw(b"x")


async def test_the_beginning_of_an_input_is_whole_blocks():
    blocks = [lines_block([b"%04d" % number] * 100) for number in range(5)]
    assert [block async for block in beginning(stream(blocks), 501)] == blocks[:2]
    assert [block async for block in beginning(stream(blocks), 500)] == blocks[:1]
