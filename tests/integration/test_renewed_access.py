"""An attempt on a real worker whose storage credentials end while its program runs."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from apollo_common.assignment import Split, SplitPiece
from apollo_common.ids import JobId, attempt_id, map_task_id
from apollo_common.storage.port import AttemptAccess, StorageAccess, Upload
from apollo_common.storage.s3 import S3Store
from apollo_coordinator.core.model import Task, TaskKind
from apollo_coordinator.core.spec import MIB, JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.order import AttemptDone, AttemptFailed, AttemptOrder, AttemptStarted, OutputTarget
from apollo_coordinator.pools.process import worker_command
from apollo_coordinator.ports import WorkerLink, WorkerUp
from apollo_coordinator.rpc.link import GrpcWorkerLink
from support.pools import process_pool, running

CONTENT = b"one\ntwo\n"
SLOW_COPY = ProgramRef(ProgramSource.SHELL, "sleep 3; cat", stdio="pipe")
TASK = map_task_id(JobId("renewed"), 0)
NOTHING = StorageAccess()


@dataclass(frozen=True)
class Scene:
    link: WorkerLink
    store: S3Store
    upload: Upload
    valid: StorageAccess
    order: AttemptOrder


@pytest.fixture
async def scene(s3_server, s3_bucket, tmp_path: Path):
    """A worker and an order whose credentials for the output are over already."""
    s3_server.client().put_object(Bucket=s3_bucket, Key="in", Body=CONTENT)
    store = S3Store(s3_server.access)
    upload = await store.create_upload(f"s3://{s3_bucket}/out", metadata={})
    info = await store.stat(f"s3://{s3_bucket}/in")
    assert info is not None
    piece = SplitPiece(info.url, 0, info.size_bytes, info.size_bytes, info.version)
    spec = JobSpec((info.url,), upload.url, SLOW_COPY, None, n_reducers=0, memory_budget_bytes=16 * MIB)
    order = AttemptOrder(
        job_id="renewed",
        task=Task(TASK, 0, TaskKind.MAP, split=Split((piece,))),
        attempt_id=attempt_id(TASK, 0),
        attempt_number=0,
        spec=spec,
        input_access=s3_server.access,
        output_access=replace(s3_server.access, secret_access_key="over"),
        output=OutputTarget(upload.url, upload.upload_id),
    )
    pool = process_pool(tmp_path, connector=GrpcWorkerLink, command=worker_command())
    async with running(pool) as heard:
        (up,) = await heard.until(WorkerUp)
        yield Scene(pool.link(up.worker), store, upload, s3_server.access, order)
    await store.close()


async def test_it_goes_on_with_fresh_credentials(scene):
    reports = scene.link.run(scene.order)
    assert isinstance(await anext(reports), AttemptStarted)
    await scene.link.renew(scene.order.attempt_id, AttemptAccess(NOTHING, scene.valid, NOTHING))
    done = [report async for report in reports][-1]
    assert isinstance(done, AttemptDone), done
    await scene.store.complete_upload(scene.upload, done.parts)
    assert b"".join([chunk async for chunk in scene.store.read(scene.upload.url)]) == CONTENT.replace(b"\n", b"\t\n")


async def test_it_fails_without(scene):
    await scene.link.renew("renewed-m-00000-7", AttemptAccess(NOTHING, scene.valid, NOTHING))  # of another attempt
    failed = [report async for report in scene.link.run(scene.order)][-1]
    assert isinstance(failed, AttemptFailed)
    assert failed.reason == "storage_access_denied"
    assert "over" not in failed.message
