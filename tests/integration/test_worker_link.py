"""GrpcWorkerLink against real worker processes, through what networks and machines do to them."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from grpclib import GRPCError, Status

from apollo_common.errors import ObjectNotFound, VolumeFull, WorkerBusy, WorkerUnreachable
from apollo_common.grpc import GrpcServer
from apollo_common.ids import AttemptId
from apollo_coordinator.order import (
    AttemptCancelled,
    AttemptDone,
    AttemptFailed,
    AttemptLog,
    AttemptReport,
    AttemptStarted,
)
from apollo_coordinator.pools.local_worker import WorkerState
from apollo_coordinator.ports import WorkerLink, WorkerUp
from apollo_proto.apollo.v1 import (
    AttachTaskRequest,
    DescribeRequest,
    DescribeResponse,
    TaskAssignment,
    TaskEvent,
    WorkerBase,
)
from apollo_proto.apollo.v1 import Running as RunningEvent
from support.orders import map_order
from support.pools import PATIENCE_SECONDS, connect, process_pool, read_state, running
from support.proxy import CuttingProxy
from support.small_disk import MIB, SmallDisk, needs_root


@dataclass(frozen=True)
class Running:
    link: WorkerLink
    state: WorkerState


@pytest.fixture
async def worker(tmp_path) -> AsyncIterator[Running]:
    """A fresh worker process and the pool's link to it."""
    pool = process_pool(tmp_path)
    async with running(pool) as heard:
        (up,) = await heard.until(WorkerUp)
        yield Running(pool.link(up.worker), read_state(tmp_path, up.worker))


async def collect(reports: AsyncIterator[AttemptReport]) -> list[AttemptReport]:
    return [report async for report in reports]


def log_of(reports: list[AttemptReport]) -> bytes:
    return b"".join(report.content for report in reports if isinstance(report, AttemptLog))


async def test_an_attempt_runs_and_is_heard_of_until_it_is_done(worker):
    link = worker.link
    reports = await collect(link.run(map_order("steps:3")))
    assert isinstance(reports[0], AttemptStarted)
    assert log_of(reports) == b"step 1\nstep 2\nstep 3\n"
    assert isinstance(reports[-1], AttemptDone)
    assert reports[-1].counters == {"apollo": {"steps": 3}}


async def test_a_worker_describes_itself_and_what_it_runs(worker):
    link, pid = worker.link, worker.state.pid
    idle = await link.describe()
    assert idle.attempt_id == ""
    assert idle.platform.startswith("linux/")
    assert idle.memory_limit_bytes > 0
    order = map_order("hang")
    reports = link.run(order)
    await anext(reports)
    assert (await link.describe()).attempt_id == order.attempt_id
    await reports.aclose()
    os.kill(pid, 0)


async def test_a_failure_keeps_its_reason_and_exit_status(worker):
    link = worker.link
    (*_, failed) = await collect(link.run(map_order("crash")))
    assert isinstance(failed, AttemptFailed)
    assert (failed.reason, failed.exit_status, failed.signal, failed.retryable) == ("program_exited", 3, None, True)


async def test_a_busy_worker_refuses_a_second_attempt_and_goes_on_with_the_first(worker):
    link = worker.link
    first = link.run(map_order("hang", number=0))
    await anext(first)
    with pytest.raises(WorkerBusy):
        await collect(link.run(map_order("succeed", number=1)))
    assert isinstance(await anext(first), AttemptLog)
    await first.aclose()


async def test_a_cancelled_attempt_says_so_and_frees_the_worker(worker):
    link = worker.link
    order = map_order("hang")
    reports = link.run(order)
    await anext(reports)
    await link.cancel(order.attempt_id, "a backup attempt won")
    assert isinstance((await collect(reports))[-1], AttemptCancelled)
    assert isinstance((await collect(link.run(map_order("succeed", number=1))))[-1], AttemptDone)


async def test_cancelling_what_does_not_run_is_no_error(worker):
    link = worker.link
    await link.cancel(AttemptId("job-m-00009-0"), "nobody knows it")


async def test_an_attempt_outlives_the_link_that_started_it_and_is_attached_again(worker):
    link = worker.link
    order = map_order("steps:20")
    reports = link.run(order)
    await anext(reports)
    await reports.aclose()  # a coordinator that is gone
    later = await collect(link.attach(order.attempt_id))
    assert log_of(later) == b"".join(f"step {step}\n".encode() for step in range(1, 21))
    assert isinstance(later[-1], AttemptDone)


async def test_an_ended_attempt_can_be_attached_until_the_next_one(worker):
    link = worker.link
    order = map_order("succeed")
    await collect(link.run(order))
    assert isinstance((await collect(link.attach(order.attempt_id)))[-1], AttemptDone)
    await collect(link.run(map_order("succeed", number=1)))
    with pytest.raises(ObjectNotFound):
        await collect(link.attach(order.attempt_id))


async def test_a_cut_connection_is_attached_again_without_a_gap_or_a_repeat(worker):
    async with CuttingProxy(worker.state.address, cut_after_bytes=700, cuts=3) as proxy:
        through = connect(proxy.address, worker.state.token)
        reports = await collect(through.run(map_order("steps:30")))
        await through.close()
    assert proxy.cuts_left == 0
    assert log_of(reports) == b"".join(f"step {step}\n".encode() for step in range(1, 31))
    assert isinstance(reports[-1], AttemptDone)


async def test_a_killed_worker_is_unreachable(worker):
    link, pid = worker.link, worker.state.pid
    reports = link.run(map_order("hang"))
    await anext(reports)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerUnreachable):
        await collect(reports)


class StartedAnew(WorkerBase):
    """Ends with an attempt; what answers at its address then knows nothing of that."""

    async def run_task(self, message: TaskAssignment) -> AsyncIterator[TaskEvent]:
        yield TaskEvent(attempt_id=message.attempt_id, sequence=1, running=RunningEvent())
        raise GRPCError(Status.UNAVAILABLE, "it was killed")

    async def attach_task(self, message: AttachTaskRequest) -> AsyncIterator[TaskEvent]:
        raise GRPCError(Status.NOT_FOUND, f"this worker does not know attempt {message.attempt_id}")
        yield


async def test_an_attempt_is_lost_with_a_worker_that_is_started_again_at_its_address():
    server = GrpcServer([StartedAnew()])
    link = connect(f"127.0.0.1:{await server.listen_on('127.0.0.1', 0)}")
    try:
        with pytest.raises(WorkerUnreachable, match="started anew"):
            await collect(link.run(map_order("hang")))
    finally:
        await link.close()
        await server.stop(0)


class Babbling(WorkerBase):
    """Answers with what is no message."""

    async def describe(self, message: DescribeRequest) -> DescribeResponse:
        answer = DescribeResponse()
        answer._unknown_fields = b"\x0a\x05four"  # five bytes are announced
        return answer


async def test_a_worker_whose_answers_cannot_be_read_is_unreachable():
    server = GrpcServer([Babbling()])
    link = connect(f"127.0.0.1:{await server.listen_on('127.0.0.1', 0)}")
    try:
        with pytest.raises(WorkerUnreachable, match="INTERNAL: what came is no DescribeResponse"):
            await link.describe()
    finally:
        await link.close()
        await server.stop(0)


async def test_a_stopped_worker_is_unreachable_after_its_silence(worker):
    link, pid = worker.link, worker.state.pid
    reports = link.run(map_order("hang"))
    await anext(reports)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(WorkerUnreachable, match="silent"):
        await collect(reports)


async def test_a_wrong_token_is_refused(worker):
    stranger = connect(worker.state.address, "guess")
    with pytest.raises(WorkerUnreachable, match="UNAUTHENTICATED"):
        await stranger.describe()
    await stranger.close()


async def test_an_artifact_is_installed_once_and_kept_by_its_digest(worker, tmp_path):
    link = worker.link
    content = os.urandom(700_000)
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "program").write_bytes(content)
    await link.install(digest, tmp_path / "program")
    assert digest in (await link.describe()).artifact_digests
    (tmp_path / "program").unlink()
    await link.install(digest, tmp_path / "program")


async def test_an_artifact_that_is_another_is_refused(worker, tmp_path):
    link = worker.link
    (tmp_path / "program").write_bytes(b"not what was promised")
    with pytest.raises(WorkerUnreachable, match="did not arrive whole"):
        await link.install(hashlib.sha256(b"promised").hexdigest(), tmp_path / "program")
    assert not (await link.describe()).artifact_digests


async def test_a_worker_that_is_not_there_is_unreachable():
    link = connect("127.0.0.1:9", "")
    with pytest.raises(WorkerUnreachable):
        await link.describe()
    await link.close()


async def test_waiting_for_reports_can_be_cancelled(worker):
    link = worker.link

    async def listen() -> None:
        await collect(link.run(map_order("hang")))

    task = asyncio.create_task(listen())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (await link.describe()).attempt_id:
            await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await link.describe()).attempt_id


async def test_a_closed_link_ends_what_it_follows(worker):
    own = connect(worker.state.address, worker.state.token)
    reports = own.run(map_order("hang"))
    await anext(reports)
    await own.close()
    with pytest.raises(WorkerUnreachable):
        await collect(reports)


@needs_root
async def test_an_artifact_that_has_no_room_is_a_full_disk_and_no_lost_worker(tmp_path):
    (tmp_path / "program").write_bytes(os.urandom(2 * MIB))
    digest = hashlib.sha256((tmp_path / "program").read_bytes()).hexdigest()
    with SmallDisk(tmp_path / "workers", 16 * MIB) as disk:
        pool = process_pool(tmp_path / "workers")
        async with running(pool) as heard:
            (up,) = await heard.until(WorkerUp)
            link = pool.link(up.worker)
            disk.fill(leave_bytes=MIB)
            with pytest.raises(
                VolumeFull, match=r"the worker's own disk is full: it needs about 2\.0 MiB more"
            ) as caught:
                await link.install(digest, tmp_path / "program")
            assert caught.value.volume == "the worker's own disk"
            disk.make_room()
            await link.install(digest, tmp_path / "program")
            assert digest in (await link.describe()).artifact_digests
