"""One contract for the coordinator's view of map outputs: files on a volume, and objects in a bucket of a SeaweedFS."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from apollo_common.ids import new_job_id
from apollo_common.parallel import each
from apollo_common.storage.file import FileStore
from apollo_common.storage.s3 import S3Store
from apollo_coordinator.store.intermediate import IntermediateFiles
from apollo_coordinator.store.intermediate_objects import IntermediateObjects
from support.s3_faults import Fault, Rule
from support.s3_proxy import S3Proxy

NAMES = ("data.arrow", "index")


class Place:
    """`objects` and `url` reach what lies there in both cases."""

    def __init__(self, objects, url, open_store) -> None:
        self.objects, self.url, self.open = objects, url, open_store

    async def write(self, job: str, number: int = 0) -> None:
        for name in NAMES:
            await self.objects.put(f"{self.url}/{job}/{job}-m-{number:05d}/{job}-m-{number:05d}-0/{name}", b"pairs")

    async def left(self) -> set[str]:
        """The first segments of what is there."""
        return {
            info.url.removeprefix(f"{self.url}/").partition("/")[0] async for info in self.objects.find(f"{self.url}/")
        }


@pytest.fixture(params=["volume", "s3"])
async def place(request, tmp_path):
    if request.param == "volume":

        async def open_files(coordinator):
            return IntermediateFiles(tmp_path, coordinator=coordinator)

        yield Place(FileStore(), f"file://{tmp_path}", open_files)
        return
    objects, url = (
        S3Store(request.getfixturevalue("s3_server").access),
        f"s3://{request.getfixturevalue('s3_bucket')}/a[b",
    )

    async def open_objects(coordinator):
        return await IntermediateObjects.open(objects, url, coordinator=coordinator)

    yield Place(objects, url, open_objects)
    await objects.close()


async def test_a_job_is_removed_and_its_neighbour_stays(place):
    ended, other = new_job_id(), new_job_id()
    store = await place.open("one")
    for number in range(3):
        await place.write(ended, number)
        await place.write(other, number)
    assert await store.holds(ended)
    await store.remove(ended)
    assert not await store.holds(ended)
    assert await store.holds(other)
    await store.remove(new_job_id())
    assert await store.jobs() == [other]
    left = await place.left()
    assert other in left
    assert ended not in left


async def test_only_names_that_apollo_gives_are_jobs(place):
    job = new_job_id()
    for name in (job, "lost+found", ".snapshot", "Twelve-Chars"):
        await place.write(name)
    await place.objects.put(f"{place.url}/notes.txt", b"not ours")
    assert await (await place.open("one")).jobs() == [job]


async def test_a_place_is_shared_once_another_coordinator_has_come(place):
    store = await place.open("one")
    again = await place.open("one")
    assert not await store.others()
    assert not await again.others()
    await place.open("two")
    (mark,) = await store.others()
    assert mark.endswith("apollo-coordinator-two")
    url = mark if "://" in mark else f"file://{mark}"
    assert await place.objects.stat(url), "what is to be deleted is named by where it is"
    await place.objects.delete([url])
    assert not await store.others()


async def test_finding_jobs_costs_a_call_for_each_whatever_lies_below_them(s3_server, s3_bucket):
    async with S3Proxy(s3_server.endpoint_url) as proxy:
        access = replace(s3_server.access, endpoint_url=proxy.endpoint_url)
        objects, url = S3Store(access), f"s3://{s3_bucket}/prefix"
        store = await IntermediateObjects.open(objects, url, coordinator="one")
        job, other = sorted([new_job_id(), new_job_id()])
        await objects.put(f"{url}/somebody/else", b"")
        each_job = [f"{url}/{owner}/{owner}-m-{number:05d}/0/index" for owner in (job, other) for number in range(20)]
        await each(each_job, lambda key: objects.put(key, b""), at_once=8)
        proxy.calls.clear()
        assert await store.jobs() == [job, other]
        assert sorted(call.operation for call in proxy.calls) == ["ListMultipartUploads", *["ListObjectsV2"] * 3]
        await objects.close()


async def test_uploads_that_cannot_be_listed_are_told_once_and_keep_nothing_from_being_removed(s3_server, s3_bucket):
    async with S3Proxy(s3_server.endpoint_url) as proxy:
        proxy.plan.replace([Rule(Fault.FORBIDDEN, frozenset({"ListMultipartUploads"}))])
        objects, url = S3Store(replace(s3_server.access, endpoint_url=proxy.endpoint_url)), f"s3://{s3_bucket}/prefix"
        store = await IntermediateObjects.open(objects, url, coordinator="one")
        job = new_job_id()
        await objects.put(f"{url}/{job}/index", b"")
        with capture_logs() as logs:
            assert await store.jobs() == [job]
            await store.remove(job)
            assert await store.jobs() == []
        (warning,) = logs
        assert "s3:ListBucketMultipartUploads" in warning["event"]
        await objects.close()


async def test_uploads_that_nobody_finished_are_a_jobs_and_go_with_it(s3_server, s3_bucket):
    objects, url = S3Store(s3_server.access), f"s3://{s3_bucket}/prefix"
    store = await IntermediateObjects.open(objects, url, coordinator="one")
    job, other = new_job_id(), new_job_id()
    for number in range(3):
        await objects.create_upload(f"{url}/{job}/{job}-m-{number:05d}/0/data.arrow", metadata={})
    kept = await objects.create_upload(f"{url}/{other}/data.arrow", metadata={})
    assert await store.jobs() == sorted([job, other])
    await store.remove(job)
    assert await store.jobs() == [other]
    assert await objects.list_uploads(f"{url}/") == [kept]
    await objects.close()
