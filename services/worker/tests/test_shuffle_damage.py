import asyncio
import errno
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from apollo_common.errors import FetchFailed, VolumeFull
from apollo_worker.shuffle.map_output import MapOutputWriter
from apollo_worker.shuffle.merge import merged
from apollo_worker.shuffle.partition import parse_partitioner
from apollo_worker.shuffle.volume_store import VolumeStore
from support.shuffling import batches, read_partition, write_map_output

PAIRS = [(b"key%d" % (row % 7), b"value%d" % row) for row in range(40)]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def contents(output, volume):
    return [await read_partition([output], volume, partition) for partition in range(2)]


@pytest.mark.parametrize("name", ["data.arrow", "index"])
async def test_a_damaged_byte_is_a_fetch_failure_or_does_not_matter(tmp_path, name):
    output, _ = await write_map_output(tmp_path, 3, PAIRS, 2)
    good = await contents(output, tmp_path)
    path = tmp_path / output.path / name
    original = path.read_bytes()
    noticed = 0
    for place in range(0, len(original), 7):
        path.write_bytes(original[:place] + bytes([original[place] ^ 0x40]) + original[place + 1 :])
        try:
            found = await contents(output, tmp_path)
        except FetchFailed as error:
            found = good if (error.task, error.attempt) == ("m-3", "m-3-0") else []
            noticed += 1
        assert found == good
    assert noticed > len(original) // 7 // 2


@pytest.mark.parametrize("name", ["data.arrow", "index"])
async def test_a_truncated_file_is_a_fetch_failure(tmp_path, name):
    output, _ = await write_map_output(tmp_path, 0, PAIRS, 2)
    path = tmp_path / output.path / name
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(FetchFailed):
        await contents(output, tmp_path)


async def test_a_missing_output_is_a_fetch_failure(tmp_path):
    output, _ = await write_map_output(tmp_path, 5, PAIRS, 2)
    shutil.rmtree(tmp_path / output.path)
    with pytest.raises(FetchFailed, match="m-5-0: index: No such file") as caught:
        await read_partition([output], tmp_path, 0)
    assert caught.value.task == "m-5"


async def test_an_output_that_appears_late_is_waited_for(tmp_path):
    output, _ = await write_map_output(tmp_path, 0, PAIRS, 2)
    good = await contents(output, tmp_path)
    hidden = tmp_path / "hidden"
    (tmp_path / output.path).rename(hidden)
    reading = asyncio.create_task(read_partition([output], tmp_path, 0, patience_s=60))
    await asyncio.sleep(0.3)
    hidden.rename(tmp_path / output.path)
    assert await reading == good[0]


async def test_waiting_for_an_output_can_be_cancelled(tmp_path):
    output, _ = await write_map_output(tmp_path, 0, PAIRS, 2)
    shutil.rmtree(tmp_path / output.path)
    reading = asyncio.create_task(read_partition([output], tmp_path, 0, patience_s=3600))
    await asyncio.sleep(0.1)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_merge_that_is_left_early_closes_its_files(tmp_path):
    pairs = [(b"%06d" % row, b"v" * 100) for row in range(20_000)]
    output, _ = await write_map_output(tmp_path, 0, pairs, 1, batch_size=5000)
    before = open_files()
    batches_of_it = merged([output], VolumeStore(tmp_path), 0, 1 << 20)
    first = await anext(batches_of_it)
    assert first.to_pairs()[0] == pairs[0]
    await batches_of_it.aclose()
    assert open_files() == before


async def test_files_open_at_once_are_bounded(tmp_path):
    outputs = [(await write_map_output(tmp_path, n, PAIRS, 1))[0] for n in range(200)]
    before = open_files()
    source = merged(outputs, VolumeStore(tmp_path), 0, 64 << 20)
    await anext(source)
    assert open_files() - before < 80
    await source.aclose()


@pytest.fixture
def small_volume(tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(volume)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small volume needs the right to mount")
    yield volume
    subprocess.run(["umount", "--lazy", str(volume)], check=True)


async def test_a_full_volume_is_named_and_what_was_written_is_removed(small_volume):
    writer = MapOutputWriter(small_volume / "attempt", 2, parse_partitioner("hash"), 128 << 10)
    (batch,) = batches([(b"%d" % row, b"v" * 500) for row in range(2000)], 2000)
    with pytest.raises(VolumeFull, match="the intermediate volume is full; free space"):
        await writer.add(batch)
    await writer.abort()
    assert list(small_volume.iterdir()) == []


async def test_a_full_quota_is_a_full_volume(tmp_path, monkeypatch):
    def refuse(_descriptor):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    writer = MapOutputWriter(tmp_path / "attempt", 2, parse_partitioner("hash"), 128 << 10)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(VolumeFull):
        await writer.finish()
    await writer.abort()


async def test_cancelling_a_spill_leaves_no_thread_behind(tmp_path):
    writer = MapOutputWriter(tmp_path / "attempt", 64, parse_partitioner("hash"), 8 << 20)
    (batch,) = batches([(b"%d" % row, b"v" * 20) for row in range(200_000)], 200_000)
    adding = asyncio.create_task(writer.add(batch))
    await asyncio.sleep(0.02)
    adding.cancel()
    with suppress(asyncio.CancelledError):
        await adding
    await writer.abort()
    assert list(tmp_path.iterdir()) == []
