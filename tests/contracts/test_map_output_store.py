"""One contract for the places of map outputs: a volume, and a bucket, in memory and on a real SeaweedFS."""

import asyncio
import os
import subprocess
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest

from apollo_common.assignment import DATA_FILE, INDEX_FILE
from apollo_common.errors import FetchFailed, ScratchExceeded, StorageAccessDenied, VolumeFull
from apollo_common.storage.memory import MemoryStore
from apollo_common.storage.port import ObjectStore
from apollo_common.storage.s3 import S3Store
from apollo_worker.shuffle.bucket_store import INDEX_HEAD_BYTES, PIECE_BYTES, BucketStore
from apollo_worker.shuffle.disk import VOLUME
from apollo_worker.shuffle.store import MapOutputStore
from apollo_worker.shuffle.volume_store import VolumeStore
from support.s3_faults import TRANSIENT, Fault, FaultPlan, Rule
from support.s3_proxy import S3Proxy
from support.shuffling import read_partition, reference_partition, write_map_output

PAIRS = [(b"key%d" % (row % 7), b"value%d" % row) for row in range(40)]
FILES = (DATA_FILE, INDEX_FILE)


@dataclass(frozen=True)
class Place:
    """A store of map outputs, and how a test looks at what lies there behind its back."""

    store: MapOutputStore
    local: Path  # where the worker writes and merges
    volume: Path | None = None
    objects: ObjectStore | None = None
    url: str = ""

    async def read(self, path: str, name: str) -> bytes:
        if self.volume is not None:
            return (self.volume / path / name).read_bytes()
        return b"".join([chunk async for chunk in self.objects.read(f"{self.url}/{path}/{name}")])

    async def write(self, path: str, name: str, content: bytes) -> None:
        if self.volume is not None:
            (self.volume / path / name).write_bytes(content)
        else:
            await self.objects.put(f"{self.url}/{path}/{name}", content)

    async def remove(self, path: str) -> None:
        for name in FILES:
            if self.volume is not None:
                (self.volume / path / name).unlink()
            else:
                await self.objects.delete([f"{self.url}/{path}/{name}"])

    async def everything(self) -> list[str]:
        """What is there below the place, uploads under way included."""
        if self.volume is not None:
            return [str(found) for found in self.volume.rglob("*") if found.is_file()]
        found = [info.url async for info in self.objects.find(f"{self.url}/")]
        return found + [upload.upload_id for upload in await self.objects.list_uploads(f"{self.url}/")]

    async def partitions(self, outputs, count: int, **options):
        return [
            await read_partition(outputs, self.store, partition, scratch=self.local / "scratch", **options)
            for partition in range(count)
        ]


def in_bucket(objects: ObjectStore, url: str, local: Path, **options) -> Place:
    return Place(BucketStore(objects, url, local / "written", **options), local, objects=objects, url=url)


@pytest.fixture(params=["volume", "memory", "s3"])
async def place(request, tmp_path):
    if request.param == "volume":
        yield Place(VolumeStore(tmp_path / "volume"), tmp_path, volume=tmp_path / "volume")
    elif request.param == "memory":
        yield in_bucket(MemoryStore(), "s3://bucket/map outputs", tmp_path)
    else:
        objects = S3Store(request.getfixturevalue("s3_server").access)
        yield in_bucket(objects, f"s3://{request.getfixturevalue('s3_bucket')}/map outputs", tmp_path)
        await objects.close()


@pytest.fixture
async def memory(tmp_path):
    return in_bucket(MemoryStore(), "s3://bucket/prefix", tmp_path)


async def test_partitions_hold_their_pairs_by_key_then_map_then_emission(place):
    """With many spills, several pieces of an upload, and merging in passes."""
    outputs, everything = [], []
    for number in range(2):
        pairs = [(b"%07d" % (row * 7919 % 50_000), b"%d.%d" % (number, row) + b"v" * 300) for row in range(30_000)]
        everything += pairs
        output, summary = await write_map_output(place.store, number, pairs, 3, budget_bytes=4 << 20, batch_size=5_000)
        assert summary.spilled.runs > 3
        assert summary.size_bytes > PIECE_BYTES
        outputs.append(output)
    expected = sorted(everything, key=lambda pair: pair[0])
    for partition, found in enumerate(await place.partitions(outputs, 3, budget_bytes=4 << 20)):
        assert found == [pair for pair in expected if reference_partition(pair[0], 3) == partition]


async def test_more_runs_than_fit_are_merged_in_passes_and_leave_no_scratch(place):
    outputs, everything = [], []
    for number in range(60):
        pairs = [(b"k%03d" % (row * 31 % 400), b"%d.%d" % (number, row)) for row in range(400)]
        everything += pairs
        outputs.append((await write_map_output(place.store, number, pairs, 1))[0])
    (found,) = await place.partitions(outputs, 1, budget_bytes=128 << 10)
    assert found == sorted(everything, key=lambda pair: pair[0])
    assert not list((place.local / "scratch").rglob("*"))


async def test_the_files_are_the_same_everywhere(place, tmp_path):
    reference = VolumeStore(tmp_path / "reference")
    output, _ = await write_map_output(place.store, 0, PAIRS, 4)
    await write_map_output(reference, 0, PAIRS, 4)
    for name in FILES:
        assert await place.read(output.path, name) == (reference.directory(output.path) / name).read_bytes()
    assert len(await place.everything()) == len(FILES)


async def test_empty_outputs_and_partitions_without_pairs(place):
    outputs = [
        (await write_map_output(place.store, 0, [], 2))[0],
        (await write_map_output(place.store, 1, PAIRS, 2))[0],
    ]
    assert await place.partitions(outputs[:1], 2) == [[], []]
    expected = sorted(PAIRS, key=lambda pair: pair[0])
    for partition, found in enumerate(await place.partitions(outputs, 2)):
        assert found == [pair for pair in expected if reference_partition(pair[0], 2) == partition]


async def test_an_index_that_is_larger_than_its_head(place):
    pairs = [(b"%06d" % row + b"k" * 900, b"v") for row in range(3_000)]
    output, _ = await write_map_output(place.store, 0, pairs, 8, budget_bytes=256 << 10)
    assert len(await place.read(output.path, INDEX_FILE)) > INDEX_HEAD_BYTES
    found = await place.partitions([output], 8)
    assert sorted(pair for partition in found for pair in partition) == pairs


class CountingStore(MemoryStore):
    """Counts what is read of indexes."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[int] = []

    async def read(self, url: str, **options):
        async with aclosing(super().read(url, **options)) as chunks:
            content = b"".join([chunk async for chunk in chunks])
        if url.endswith(INDEX_FILE):
            self.reads.append(len(content))
        yield content


@pytest.mark.parametrize(("partitions", "reads"), [(2, 1), (300, 1), (3_000, 2)])
async def test_a_reduce_reads_little_of_each_index_however_many_reduces_there_are(tmp_path, partitions, reads):
    """Once for each map while that costs next to nothing; of long indexes only what is the reduce's own."""
    objects, maps, last = CountingStore(), 6, partitions - 1
    place = in_bucket(objects, "s3://bucket/prefix", tmp_path)
    pairs = [(b"key%d" % row, b"value") for row in range(2_000)]
    outputs = [(await write_map_output(place.store, number, pairs, partitions))[0] for number in range(maps)]
    whole = len(await place.read(outputs[0].path, INDEX_FILE))
    objects.reads.clear()
    found = await read_partition(outputs, place.store, last, scratch=tmp_path / "scratch")
    assert sorted(found) == sorted(maps * [pair for pair in pairs if reference_partition(pair[0], partitions) == last])
    of_the_first = len(objects.reads) - (maps - 1) * reads
    assert of_the_first <= 3
    assert sum(objects.reads[of_the_first:]) <= (maps - 1) * (whole if reads == 1 else 1024)


@pytest.mark.parametrize("name", FILES)
async def test_a_damaged_byte_is_a_fetch_failure_or_does_not_matter(place, name):
    output, _ = await write_map_output(place.store, 3, PAIRS, 2)
    good = await place.partitions([output], 2)
    original = await place.read(output.path, name)
    noticed = 0
    places = range(0, len(original), 41)
    for at in places:
        await place.write(output.path, name, original[:at] + bytes([original[at] ^ 0x40]) + original[at + 1 :])
        try:
            found = await place.partitions([output], 2)
        except FetchFailed as error:
            found = good if (error.task, error.attempt) == ("m-3", "m-3-0") else None
            noticed += 1
        assert found == good
    assert noticed > len(places) // 2


@pytest.mark.parametrize("name", FILES)
async def test_a_truncated_file_is_a_fetch_failure(place, name):
    output, _ = await write_map_output(place.store, 0, PAIRS, 2)
    content = await place.read(output.path, name)
    await place.write(output.path, name, content[: len(content) // 2])
    with pytest.raises(FetchFailed):
        await place.partitions([output], 2)


async def test_a_missing_output_is_a_fetch_failure_that_names_it(place):
    outputs = [(await write_map_output(place.store, number, PAIRS, 1))[0] for number in range(3)]
    await place.remove(outputs[1].path)
    with pytest.raises(FetchFailed, match="m-1-0: ") as caught:
        await place.partitions(outputs, 1)
    assert (caught.value.task, caught.value.attempt) == ("m-1", "m-1-0")


async def test_what_is_published_is_not_kept_on_the_workers_disk(memory):
    await write_map_output(memory.store, 0, PAIRS, 2)
    assert not list((memory.local / "written").iterdir())


async def test_a_limit_on_the_workers_disk_is_an_error_that_names_it(tmp_path):
    objects = MemoryStore()
    roomy = in_bucket(objects, "s3://bucket/prefix", tmp_path)
    tight = in_bucket(objects, "s3://bucket/prefix", tmp_path, limit_bytes=50_000)
    pairs = [(b"%06d" % row, b"v" * 100) for row in range(2_000)]
    with pytest.raises(ScratchExceeded, match=r"50000 bytes of the worker's own disk.*APOLLO_SCRATCH_LIMIT_BYTES"):
        await write_map_output(tight.store, 0, pairs, 1)
    output, _ = await write_map_output(roomy.store, 1, pairs, 1)
    with pytest.raises(ScratchExceeded):
        await roomy.partitions([output], 1, scratch_limit_bytes=50_000)
    small, _ = await write_map_output(tight.store, 2, PAIRS, 1)
    assert await roomy.partitions([small], 1, scratch_limit_bytes=50_000) == await roomy.partitions([small], 1)


async def test_a_full_disk_of_the_worker_is_named_before_anything_is_fetched(memory, tmp_path):
    output, _ = await write_map_output(memory.store, 0, [(b"%06d" % row, b"v" * 500) for row in range(2_000)], 1)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(scratch)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs the right to mount")
    try:
        with pytest.raises(VolumeFull, match=r"the worker's own disk is full: it needs about 1\.0 MiB more") as caught:
            await memory.partitions([output], 1)
        assert (caught.value.volume, caught.value.needed_bytes) == ("the worker's own disk", 1 << 20)
        assert not list(scratch.iterdir())
    finally:
        subprocess.run(["umount", "--lazy", str(scratch)], check=True)


async def test_each_fault_of_a_call_is_got_over(s3_server, s3_bucket, tmp_path):
    faults = [fault for fault in TRANSIENT if fault is not Fault.ERROR_IN_200]  # that ends the attempt, and is excused
    plan = FaultPlan([Rule(fault, nth=frozenset({2 + 3 * n}), seconds=0.2) for n, fault in enumerate(faults)])
    pairs = [(b"%06d" % (row * 7919 % 18_000), b"v" * 500) for row in range(18_000)]
    async with S3Proxy(s3_server.endpoint_url, plan) as proxy:
        objects = S3Store(_access(s3_server, proxy))
        place = in_bucket(objects, f"s3://{s3_bucket}/prefix", tmp_path)
        outputs = [(await write_map_output(place.store, n, pairs, 8, batch_size=10_000))[0] for n in range(2)]
        found = await place.partitions(outputs, 8)
        await objects.close()
    assert plan.injected == {fault.value: 1 for fault in faults}
    assert sorted(pair for partition in found for pair in partition) == sorted(pairs * 2)


@pytest.mark.parametrize(
    ("fault", "expected"), [(Fault.FORBIDDEN, StorageAccessDenied), (Fault.FULL, VolumeFull)], ids=["denied", "full"]
)
async def test_a_refusal_is_told_by_its_kind_and_is_no_fetch_failure(s3_server, s3_bucket, tmp_path, fault, expected):
    """Running the map again would not help."""
    plan = FaultPlan()
    async with S3Proxy(s3_server.endpoint_url, plan) as proxy:
        objects = S3Store(_access(s3_server, proxy))
        place = in_bucket(objects, f"s3://{s3_bucket}/prefix", tmp_path)
        output, _ = await write_map_output(place.store, 0, PAIRS, 1)
        plan.replace([Rule(fault)])
        with pytest.raises(expected):
            await place.partitions([output], 1)
        with pytest.raises(expected, match=s3_bucket):
            await write_map_output(place.store, 1, PAIRS, 1)
        await objects.close()


@pytest.mark.parametrize(
    ("operation", "nth"),
    [("CreateMultipartUpload", 1), ("UploadPart", 2), ("CompleteMultipartUpload", 1), ("PutObject", 1)],
)
async def test_a_cancelled_attempt_leaves_nothing_in_the_bucket(s3_server, s3_bucket, tmp_path, operation, nth):
    """Cancelled while the server has the call and nobody knows its answer. The put is that of the index, the last."""
    reached, seen = asyncio.Event(), []

    async def after(call):
        seen.append(call.operation)
        if seen.count(operation) == nth and call.operation == operation:
            reached.set()
            await asyncio.sleep(0.3)

    pairs = [(b"%06d" % row, b"v" * 500) for row in range(40_000)]
    async with S3Proxy(s3_server.endpoint_url, after=after) as proxy:
        objects = S3Store(_access(s3_server, proxy))
        place = in_bucket(objects, f"s3://{s3_bucket}/prefix", tmp_path)
        publishing = asyncio.create_task(write_map_output(place.store, 0, pairs, 2, batch_size=10_000))
        await reached.wait()
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        assert not await place.everything()
        await objects.close()


def test_the_volume_is_durable_and_the_workers_disk_need_not_be(memory, tmp_path):
    assert VolumeStore(tmp_path).space().disk is VOLUME
    assert VOLUME.durable
    assert not memory.store.space().disk.durable


def _access(server, proxy):
    access = server.access
    return type(access)(proxy.endpoint_url, access.region, access.access_key_id, access.secret_access_key)
