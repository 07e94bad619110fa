"""What a merge in passes keeps on the worker's disk: bounded, and counted to the byte."""

from pathlib import Path

import pytest

from apollo_common.errors import ScratchExceeded
from apollo_common.storage.memory import MemoryStore
from apollo_worker.core.budget import MIN_BUDGET_BYTES
from apollo_worker.shuffle.bucket_store import BucketStore
from apollo_worker.shuffle.data_file import DataFile
from apollo_worker.shuffle.merge import merged
from apollo_worker.shuffle.volume_store import VolumeStore
from support.shuffling import read_partition, write_map_output

RUNS = 43  # merged two by two, with one left over in some passes
PASSES = 5
MOST_OF_PARTITION = 2.25


@pytest.fixture(params=["volume", "bucket"])
def place(request, tmp_path):
    if request.param == "volume":
        return VolumeStore(tmp_path / "volume")
    return BucketStore(MemoryStore(), "s3://bucket/prefix", tmp_path / "written")


@pytest.fixture
def sizes_bytes(tmp_path, monkeypatch):
    """Of all files below `scratch`, whenever one more is whole: nothing that it was made of is removed yet."""
    seen: list[int] = []
    finish = DataFile.finish

    def finish_and_look(file: DataFile) -> None:
        finish(file)
        if (tmp_path / "scratch").exists():
            seen.append(size_below(tmp_path / "scratch"))

    monkeypatch.setattr(DataFile, "finish", finish_and_look)
    return seen


def size_below(directory: Path) -> int:
    return sum(found.stat().st_size for found in directory.rglob("*") if found.is_file())


async def map_outputs(place):
    pairs = [[(b"k%03d" % (row * 31 % 400), b"%d.%d" % (number, row)) for row in range(400)] for number in range(RUNS)]
    outputs = [(await write_map_output(place, number, pairs[number], 1))[0] for number in range(RUNS)]
    return outputs, sorted((pair for of_map in pairs for pair in of_map), key=lambda pair: pair[0])


async def test_many_passes_keep_little_more_than_twice_the_partition(place, tmp_path, sizes_bytes):
    outputs, expected = await map_outputs(place)
    told, found = [], []
    pairs = merged(
        outputs, place, 0, MIN_BUDGET_BYTES, scratch=tmp_path / "scratch", counted=lambda _, size: told.append(size)
    )
    async for batch in pairs:
        found += batch.to_pairs()
    assert found == expected
    assert len(sizes_bytes) > RUNS - PASSES  # a merge of two by two makes one file less than there are runs
    assert told[0] < max(sizes_bytes) < MOST_OF_PARTITION * told[0]
    assert not list((tmp_path / "scratch").iterdir())


async def test_the_limit_counts_every_file_of_a_merge(place, tmp_path, sizes_bytes):
    outputs, expected = await map_outputs(place)

    async def read(**limit):
        return await read_partition(
            outputs, place, 0, budget_bytes=MIN_BUDGET_BYTES, scratch=tmp_path / "scratch", **limit
        )

    assert await read() == expected
    enough = max(sizes_bytes)
    assert await read(scratch_limit_bytes=enough) == expected
    with pytest.raises(ScratchExceeded, match="APOLLO_SCRATCH_LIMIT_BYTES"):
        await read(scratch_limit_bytes=enough - 1)
    assert not list((tmp_path / "scratch").iterdir())
