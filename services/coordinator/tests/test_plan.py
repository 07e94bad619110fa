from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.errors import TooManySplits, UnsupportedCompression
from apollo_common.storage.port import ObjectInfo
from apollo_coordinator.core.plan import codec_of, plan_splits


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


def test_whole_objects_are_not_cut():
    assert [split.size_bytes for split in plan_splits([info("a", 100)], 10, record_format="whole")] == [100]


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
