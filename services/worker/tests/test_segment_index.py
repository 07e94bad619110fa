import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_worker.shuffle.segment_index import ENTRY, FIRST_KEY_BYTES, IndexDamaged, encode_index, read_partition
from support import hostile


def reader(content: bytes, ranges: list[tuple[int, int]] | None = None):
    def read(offset: int, length: int) -> bytes:
        if ranges is not None:
            ranges.append((offset, length))
        if offset + length > len(content):
            raise IndexDamaged
        return content[offset : offset + length]

    return read


def index_of(partitions_of_batches: list[int], keys: list[bytes], partitions: int) -> bytes:
    entries = np.zeros(len(keys), ENTRY)
    entries["offset"] = np.arange(len(keys)) * 100
    entries["key_bytes"] = [len(key) for key in keys]
    entries["partition"] = partitions_of_batches
    return encode_index(entries, [key[:FIRST_KEY_BYTES] for key in keys], partitions)


@given(st.lists(st.tuples(st.integers(0, 4), st.binary(max_size=12) | st.just(b"k" * 2000)), max_size=30))
def test_every_partition_reads_back_alone(batches):
    index = index_of([partition for partition, _ in batches], [key for _, key in batches], 5)
    for partition in range(5):
        found = read_partition(reader(index), partition)
        expected = [(n * 100, key) for n, (where, key) in enumerate(batches) if where == partition]
        assert found.entries["offset"].tolist() == [offset for offset, _ in expected]
        assert found.first_keys == [key[:FIRST_KEY_BYTES] for _, key in expected]
        assert found.entries["key_bytes"].tolist() == [len(key) for _, key in expected]


def test_reading_a_partition_touches_little_of_a_large_index():
    batches = 20_000
    index = index_of([n % 1000 for n in range(batches)], [b"key%05d" % n for n in range(batches)], 1000)
    ranges: list[tuple[int, int]] = []
    read_partition(reader(index, ranges), 500)
    assert sum(length for _, length in ranges) < 1000 < len(index) // 100


@given(st.integers(0, 7), st.data())
def test_a_damaged_byte_is_noticed_or_does_not_matter(bit, data):
    index = index_of([0, 1, 1, 3], [b"a", b"bb", b"", b"ccc"], 4)
    place = data.draw(st.integers(0, len(index) - 1))
    damaged = bytearray(index)
    damaged[place] ^= 1 << bit
    for partition in range(4):
        good = read_partition(reader(index), partition)
        try:
            found = read_partition(reader(bytes(damaged)), partition)
        except IndexDamaged:
            continue
        assert found.first_keys == good.first_keys
        assert found.entries.tobytes() == good.entries.tobytes()


@given(st.binary(max_size=200), st.integers(0, 5))
def test_any_bytes_are_an_index_or_damaged(content, partition):
    try:
        found = read_partition(reader(content), partition)
    except IndexDamaged:
        return
    assert len(found.entries) == len(found.first_keys)


@given(st.randoms(use_true_random=False), st.integers(0, 3))
def test_a_spoilt_index_is_damaged_or_does_not_matter(chance, partition):
    index = index_of([0, 1, 1, 3], [b"a", b"bb", b"", b"ccc"], 4)
    good = read_partition(reader(index), partition)
    try:
        found = read_partition(reader(hostile.spoilt(chance, index)), partition)
    except IndexDamaged:
        return
    assert (found.first_keys, found.entries.tobytes()) == (good.first_keys, good.entries.tobytes())


def test_a_partition_that_the_index_does_not_have():
    with pytest.raises(IndexDamaged):
        read_partition(reader(index_of([0, 0], [b"a", b"b"], 2)), 2)
