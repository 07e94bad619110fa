from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.errors import TooManySplits, UnsupportedCompression
from apollo_common.storage.port import ObjectInfo
from apollo_coordinator.core.plan import MAX_PACKED_OBJECTS, SplitPolicy, as_hadoop_orders, codec_of, plan_splits

HADOOP = Path(__file__).with_name("hadoop_splits") / "expected.txt"


def info(name, size):
    return ObjectInfo(f"s3://bucket/{name}", size, f"etag-{name}")


@given(sizes=st.lists(st.integers(0, 200), max_size=8), split_size=st.integers(1, 60))
def test_plain_objects_are_cut_without_gap_or_overlap(sizes, split_size):
    objects = [info(str(index), size) for index, size in enumerate(sizes)]
    splits = plan_splits(objects, split_size)
    assert len(splits) == sum(ceil(size / split_size) for size in sizes)
    for each in objects:
        pieces = [split.pieces[0] for split in splits if split.pieces[0].url == each.url]
        position = 0
        for piece in pieces:
            assert piece.offset == position
            assert 0 < piece.length_bytes <= split_size
            assert (piece.object_size_bytes, piece.version, piece.codec) == (each.size_bytes, each.version, "")
            position += piece.length_bytes
        assert position == each.size_bytes


def test_compressed_objects_are_one_split_each():
    splits = plan_splits(
        [info("a.gz", 1000), info("b.txt", 25), info("c.bz2", 7), info("d.zst", 30), info("e.gz", 0)], 10
    )
    assert [(split.pieces[0].url[-5:], split.size_bytes, split.pieces[0].codec) for split in splits] == [
        ("/a.gz", 1000, "gzip"),
        ("b.txt", 10, ""),
        ("b.txt", 10, ""),
        ("b.txt", 5, ""),
        ("c.bz2", 7, "bzip2"),
        ("d.zst", 30, "zstd"),
    ]


@pytest.mark.parametrize("name", ["a.xz", "b.lz4", "c.snappy", "d.txt.zip"])
def test_what_is_compressed_otherwise_is_refused_by_name(name):
    with pytest.raises(UnsupportedCompression, match=rf"s3://bucket/{name} .* \.gz, \.bz2 or \.zst"):
        plan_splits([info("a.txt", 1), info(name, 1)], 10)


def test_whole_objects_may_be_compressed_in_any_way():
    splits = plan_splits([info("a.zip", 5), info("b.gz", 7)], 10, record_format="whole")
    assert [split.pieces[0].codec for split in splits] == ["", "gzip"]


def test_whole_objects_are_not_cut():
    assert [split.size_bytes for split in plan_splits([info("a", 100)], 10, record_format="whole")] == [100]


def test_an_empty_object_is_a_record_of_its_own():
    assert [split.size_bytes for split in plan_splits([info("a", 0), info("b", 2)], 10, record_format="whole")] == [
        0,
        2,
    ]


def names(splits):
    return [[piece.url.rpartition("/")[2] for piece in split.pieces] for split in splits]


def test_packed_objects_share_splits_in_their_order():
    objects = [info("a", 4), info("b", 6), info("c.gz", 1), info("d", 25), info("e", 3), info("f", 0), info("g", 10)]
    splits = plan_splits(objects, 10, policy=SplitPolicy.PACKED)
    assert names(splits) == [["a", "b"], ["c.gz"], ["d"], ["d"], ["d"], ["e"], ["g"]]
    assert [split.size_bytes for split in splits] == [10, 1, 10, 10, 5, 3, 10]
    whole = plan_splits(objects, 10, policy=SplitPolicy.PACKED, record_format="whole")
    assert names(whole) == [["a", "b"], ["c.gz"], ["d"], ["e", "f"], ["g"]]


@given(
    sizes=st.lists(st.integers(0, 30), max_size=150), split_size=st.integers(1, 60), policy=st.sampled_from(SplitPolicy)
)
def test_every_byte_is_in_one_split_whatever_the_policy(sizes, split_size, policy):
    objects = [info(str(index), size) for index, size in enumerate(sizes)]
    splits = plan_splits(objects, split_size, policy=policy)
    owned = [
        (piece.url, at)
        for split in splits
        for piece in split.pieces
        for at in range(piece.offset, piece.offset + piece.length_bytes)
    ]
    assert owned == [(each.url, at) for each in objects for at in range(each.size_bytes)]
    most = split_size * 11 // 10 if policy is SplitPolicy.HADOOP else split_size
    assert all(split.size_bytes <= most for split in splits)
    if policy is SplitPolicy.APART:
        assert all(len(split.pieces) == 1 for split in splits)


def test_many_small_objects_are_packed_unless_that_leaves_few_tasks():
    few = [info(str(index), 1000) for index in range(100)]
    assert len(plan_splits(few, 64 << 20)) == 100
    many = [info(str(index), 1000) for index in range(10_000)]
    assert len(plan_splits(many, 64 << 20)) == 100
    assert len(plan_splits(many, 64 << 20, policy=SplitPolicy.APART)) == 10_000
    packed = plan_splits(many, 64 << 20, policy=SplitPolicy.PACKED)
    assert [len(split.pieces) for split in packed] == [MAX_PACKED_OBJECTS] * 10
    large = [info(str(index), 10 << 20) for index in range(200)]
    assert len(plan_splits(large, 64 << 20)) == 100


def hadoop_cases():
    """hadoop_splits/Splits.java has printed them, with Hadoop 3.4.2."""
    lines = HADOOP.read_text().splitlines()
    for given_line, found in zip(lines[::2], lines[1::2], strict=True):
        split_size, *sizes = map(int, given_line.split())
        yield split_size, sizes, found.split()


@pytest.mark.parametrize(("split_size", "sizes", "expected"), list(hadoop_cases()))
def test_splits_as_hadoop_makes_and_orders_them(split_size, sizes, expected):
    objects = [info(str(index), size) for index, size in enumerate(sizes)]
    pieces = [
        split.pieces[0] for split in as_hadoop_orders(plan_splits(objects, split_size, policy=SplitPolicy.HADOOP))
    ]
    assert [f"{p.url.rpartition('/')[2]}:{p.offset}+{p.length_bytes}" for p in pieces] == expected


def test_empty_input_has_no_split():
    assert plan_splits([], 10) == []
    assert plan_splits([info("a", 0)], 10) == []


def test_too_many_splits_name_the_setting():
    assert len(plan_splits([info("a", 100)], 10, max_splits=10)) == 10
    with pytest.raises(TooManySplits, match="splitSize"):
        plan_splits([info("a", 101)], 10, max_splits=10)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.gz", "gzip"), ("a.tar.bz2", "bzip2"), ("a.zst", "zstd"), ("a.xz.txt", ""), ("gz", ""), ("zip", "")],
)
def test_codec_by_extension(name, codec):
    assert codec_of(f"file:///data/{name}") == codec
