"""S3 through a connection that breaks, and the commit of an output on a real server."""

import hashlib
import json

import pytest

from apollo_common.errors import InputChanged, OutputExists, StorageUnavailable
from apollo_common.ids import JobId, attempt_id, reduce_task_id
from apollo_common.storage.open import Stores
from apollo_common.storage.port import StorageAccess, Upload
from apollo_common.storage.s3 import S3Store
from apollo_coordinator.core.model import Attempt, AttemptOutput, Job, Task, TaskKind
from apollo_coordinator.core.spec import JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.store.commit import StoredOutput
from apollo_coordinator.store.inputs import StoredInput
from support.proxy import CuttingProxy

CONTENT = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
async def store(s3_server):
    opened = S3Store(s3_server.access)
    yield opened
    await opened.close()


def through(proxy, server):
    return S3Store(StorageAccess(f"http://{proxy.address}", "", server.access_key_id, server.secret_access_key))


async def test_a_cut_body_is_resumed(s3_server, s3_bucket, store):
    url = f"s3://{s3_bucket}/large"
    await store.put(url, CONTENT)
    target = s3_server.endpoint_url.removeprefix("http://")
    async with CuttingProxy(target, cut_after_bytes=300_000, cuts=4) as proxy:
        broken = through(proxy, s3_server)
        read = b"".join([chunk async for chunk in broken.read(url, offset=5)])
        await broken.close()
        assert proxy.cuts_left == 0
    assert read == CONTENT[5:]


async def test_a_connection_that_always_breaks_ends_in_an_error(s3_server, s3_bucket, store, monkeypatch):
    monkeypatch.setattr("apollo_common.storage.s3_client.MAX_REQUEST_ATTEMPTS", 2)
    url = f"s3://{s3_bucket}/large"
    await store.put(url, CONTENT)
    target = s3_server.endpoint_url.removeprefix("http://")
    async with CuttingProxy(target, cut_after_bytes=0, cuts=1000) as proxy:
        broken = through(proxy, s3_server)
        with pytest.raises(StorageUnavailable, match="large"):
            [chunk async for chunk in broken.read(url)]
        await broken.close()


async def test_an_object_that_is_replaced_while_it_is_read_is_noticed(s3_server, s3_bucket, store):
    url = f"s3://{s3_bucket}/large"
    await store.put(url, CONTENT)
    target = s3_server.endpoint_url.removeprefix("http://")
    async with CuttingProxy(target, cut_after_bytes=300_000, cuts=1) as proxy:
        broken = through(proxy, s3_server)
        chunks = broken.read(url)
        await anext(chunks)
        await store.put(url, CONTENT[::-1])
        with pytest.raises(InputChanged, match="large"):
            [chunk async for chunk in chunks]
        await broken.close()


async def test_a_commit_on_a_real_server(s3_server, s3_bucket, store):
    """Run twice, the second time as if no answer of the first had come; then once more by a job that overwrites."""
    stores = Stores()
    committer = StoredOutput(stores)
    output = f"{s3_server.endpoint_url}/{s3_bucket}/out%20put/"
    url = f"s3://{s3_bucket}/out put"
    access = StorageAccess("", "", s3_server.access_key_id, s3_server.secret_access_key)

    async def run(job_id, contents, *, overwrite):
        program = ProgramRef(ProgramSource.SHELL, "cat")
        spec = JobSpec(("s3://in",), output, program, program, n_reducers=len(contents), overwrite=overwrite)
        job = Job(JobId(job_id), spec, created_ms=0)
        await committer.check_free(spec, access)
        for index, content in enumerate(contents):
            task = Task(reduce_task_id(job.id, index), index, TaskKind.REDUCE)
            job.reduces.append(task)
            for number, body in enumerate((b"loser", content)):
                attempt = attempt_id(task.id, number)
                target = await committer.open_part(job, task, attempt, access)
                part = await store.upload_part(Upload(target.url, target.upload_id), 1, body)
                task.attempts.append(Attempt(attempt, "w", 0, output_url=target.url, upload_id=target.upload_id))
            task.accepted = attempt
            digest = hashlib.sha256(content).hexdigest()
            task.output = AttemptOutput("", target.url, target.upload_id, (part,), len(content), 1, digest)
        await committer.commit(job, access)
        await store.delete([f"{url}/_SUCCESS"])
        await committer.commit(job, access)
        return job

    def objects():
        listed = s3_server.client().list_objects_v2(Bucket=s3_bucket)
        return [found["Key"] for found in listed.get("Contents", [])]

    await run("firstjob", [b"one\n", b"", b"three\n"], overwrite=False)
    assert objects() == [f"out put/{name}" for name in ("_SUCCESS", "part-r-00000", "part-r-00001", "part-r-00002")]
    with pytest.raises(OutputExists):
        await run("second", [b"x"], overwrite=False)
    await run("third", [b"new\n"], overwrite=True)
    assert objects() == ["out put/_SUCCESS", "out put/part-r-00000"]
    client = s3_server.client()
    manifest = json.loads(client.get_object(Bucket=s3_bucket, Key="out put/_SUCCESS")["Body"].read())
    assert (manifest["job"], [part["size"] for part in manifest["parts"]]) == ("third", [4])
    assert client.get_object(Bucket=s3_bucket, Key="out put/part-r-00000")["Body"].read() == b"new\n"
    assert client.list_multipart_uploads(Bucket=s3_bucket).get("Uploads", []) == []
    await stores.close()


async def test_an_upload_that_is_older_than_the_job_is_another_writers(s3_server, s3_bucket, store):
    url = f"s3://{s3_bucket}/out/part-r-00000"
    upload = await store.create_upload(url, metadata={})
    (listed,) = await store.list_uploads(url)
    program = ProgramRef(ProgramSource.SHELL, "cat")
    reduces = [Task(reduce_task_id(JobId("job"), 0), 0, TaskKind.REDUCE)]
    spec = JobSpec(("s3://in",), f"s3://{s3_bucket}/out", program, program)
    stores = Stores()
    hour_ms = 3600 * 1000
    later, earlier = [
        Job(JobId("job"), spec, created_ms=listed.begun_ms + shift_ms, reduces=reduces)
        for shift_ms in (hour_ms, -hour_ms)
    ]
    await StoredOutput(stores).discard(later, s3_server.access)
    assert await store.list_uploads(url) == [upload]
    await StoredOutput(stores).discard(earlier, s3_server.access)
    assert await store.list_uploads(url) == []
    await stores.close()


async def test_planning_from_a_real_server(s3_server, s3_bucket, store):
    await store.put(f"s3://{s3_bucket}/in/b c.txt", b"x" * 25)
    await store.put(f"s3://{s3_bucket}/in/a.gz", b"x" * 25)
    stores = Stores()
    path = f"{s3_server.endpoint_url}/{s3_bucket}/in/"
    program = ProgramRef(ProgramSource.SHELL, "cat")
    spec = JobSpec((path,), "s3://out", program, split_size_bytes=10)
    access = StorageAccess("", "", s3_server.access_key_id, s3_server.secret_access_key)
    splits = await StoredInput(stores).plan(spec, access)
    assert [(split.pieces[0].url, split.size_bytes) for split in splits] == [
        (f"s3://{s3_bucket}/in/a.gz", 25),
        (f"s3://{s3_bucket}/in/b c.txt", 10),
        (f"s3://{s3_bucket}/in/b c.txt", 10),
        (f"s3://{s3_bucket}/in/b c.txt", 5),
    ]
    await stores.close()
