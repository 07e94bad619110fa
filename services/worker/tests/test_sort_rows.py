import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_worker.core.columns import PairBatch
from apollo_worker.shuffle.keys import SPARE_BYTES
from apollo_worker.shuffle.partition import HashPartitioner
from apollo_worker.shuffle.sort import sort_rows
from support.shuffling import reference_partition

ALPHABETS = [b"\0", b"\0a", b"ab", bytes(range(256))]
KEYS = st.sampled_from(ALPHABETS).flatmap(
    lambda letters: st.lists(
        st.lists(st.sampled_from(list(letters)), max_size=30).map(bytes) | st.sampled_from([b"", b"same", b"same\0"]),
        max_size=200,
    )
)


def order_of(keys: list[bytes], partitions: int) -> tuple[list[int], list[int]]:
    batch = PairBatch.from_pairs([(key, b"") for key in keys])
    content = np.concatenate([batch.key_bytes, np.full(SPARE_BYTES, 0xAA, np.uint8)])
    found = sort_rows(batch.key_offsets, content, HashPartitioner(), partitions)
    return found.order.tolist(), found.counts.tolist()


def check(keys: list[bytes], partitions: int) -> None:
    order, counts = order_of(keys, partitions)
    places = [reference_partition(key, partitions) for key in keys]
    assert order == sorted(range(len(keys)), key=lambda row: (places[row], keys[row]))
    assert counts == [places.count(partition) for partition in range(partitions)]


@given(KEYS, st.sampled_from([1, 2, 5, 64]))
def test_rows_are_ordered_by_partition_then_key_then_row(keys, partitions):
    check(keys, partitions)


@given(KEYS)
def test_ten_thousand_partitions(keys):
    order, counts = order_of(keys, 10_000)
    assert order == sorted(range(len(keys)), key=lambda row: (reference_partition(keys[row], 10_000), keys[row]))
    assert sum(counts) == len(keys)


def test_more_rows_than_a_block():
    random = np.random.default_rng(1)
    keys = [bytes(random.integers(97, 100, random.integers(0, 12), np.uint8)) for _ in range(70_000)]
    check(keys, 3)


@pytest.mark.parametrize("partitions", [1, 3, 40])
def test_many_rows_with_few_keys(partitions):
    random = np.random.default_rng(3)
    keys = [b"", b"\0", b"\0\0", b"a", b"a\0", *(b"word%d" % number for number in range(40)), b"x" * 50]
    check([keys[number] for number in random.integers(0, len(keys), 20_000)], partitions)
    check([b"the same"] * 20_000, partitions)


@pytest.mark.parametrize("rows", [3, 600, 3000])
def test_long_shared_prefixes(rows):
    random = np.random.default_rng(2)
    keys = [b"p" * 300 + bytes([random.integers(0, 4)]) * int(random.integers(0, 3)) for _ in range(rows)]
    check(keys, 1)


def test_long_equal_keys_and_keys_that_differ_by_trailing_nuls():
    keys = [b"x" * 200_000 + ending for ending in (b"", b"\0\0", b"\0", b"", b"a", b"\0")]
    check([*keys, b"", b"\0", b"x"], 2)
