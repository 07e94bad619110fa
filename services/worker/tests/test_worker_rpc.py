"""The worker's gRPC surface over a real socket, with an attempt that never ends."""

import asyncio

import pytest
from grpclib import GRPCError
from grpclib.const import Status

from apollo_common.grpc import GrpcChannel, GrpcServer
from apollo_proto.apollo.v1 import (
    ArtifactChunk,
    AttachTaskRequest,
    MapWork,
    Program,
    TaskAssignment,
    TaskKind,
    WorkerStub,
)
from apollo_proto.grpc.health.v1 import HealthCheckRequest, HealthCheckResponseServingStatus, HealthStub
from apollo_worker.cache import ArtifactCache
from apollo_worker.core.budget import MemoryLimit
from apollo_worker.rpc.health import HealthService
from apollo_worker.rpc.service import WorkerService
from apollo_worker.slot import AttemptSlot


class Endless:
    async def run(self, assignment, events):
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


@pytest.fixture
async def channel(tmp_path):
    cache = ArtifactCache(tmp_path / "artifacts", 1000)
    slot = AttemptSlot(Endless())
    server = GrpcServer(
        [WorkerService("w", slot, cache, MemoryLimit(1 << 30, of_cgroup=False), "none"), HealthService()]
    )
    channel = GrpcChannel("127.0.0.1", await server.listen_on("127.0.0.1", 0))
    yield channel
    channel.close()
    await slot.close()
    await server.stop(0)


def assignment(**changes) -> TaskAssignment:
    whole = {"attempt_id": "j-m-00000-0", "kind": TaskKind.MAP, "map": MapWork(), "program": Program()}
    return TaskAssignment(**(whole | changes))


@pytest.mark.parametrize(
    "changes", [{"attempt_id": ""}, {"map": None}, {"kind": TaskKind.REDUCE}, {"kind": TaskKind(0)}, {"program": None}]
)
async def test_an_assignment_that_makes_no_sense_is_refused(channel, changes):
    with pytest.raises(GRPCError) as raised:
        await anext(WorkerStub(channel).run_task(assignment(**changes)))
    assert raised.value.status is Status.INVALID_ARGUMENT


async def test_a_worker_tells_what_it_runs(channel):
    worker = WorkerStub(channel)
    events = worker.run_task(assignment())
    assert (await anext(events)).accepted is not None
    description = await worker.describe()
    assert (description.worker_id, description.attempt_id) == ("w", "j-m-00000-0")
    assert description.sandbox == "none"
    await events.aclose()


async def test_a_broken_stream_leaves_the_attempt_running(channel):
    worker = WorkerStub(channel)
    events = worker.run_task(assignment())
    await anext(events)
    await events.aclose()
    again = worker.attach_task(AttachTaskRequest(attempt_id="j-m-00000-0"))
    assert (await anext(again)).sequence == 1
    await again.aclose()


async def test_an_unknown_attempt_cannot_be_attached(channel):
    with pytest.raises(GRPCError) as raised:
        await anext(WorkerStub(channel).attach_task(AttachTaskRequest(attempt_id="j-m-00009-0")))
    assert raised.value.status is Status.NOT_FOUND


async def test_an_artifact_without_a_chunk_is_refused(channel):
    with pytest.raises(GRPCError) as raised:
        await WorkerStub(channel).put_artifact([])
    assert raised.value.status is Status.INVALID_ARGUMENT


async def test_an_artifact_that_does_not_fit_is_refused_in_words(channel):
    chunk = ArtifactChunk(digest="0" * 64, size_bytes=2000, content=b"x")
    with pytest.raises(GRPCError, match="does not fit"):
        await WorkerStub(channel).put_artifact([chunk])


@pytest.mark.parametrize("service", ["", "apollo.v1.Worker"])
async def test_the_standard_health_check_answers(channel, service):
    answer = await HealthStub(channel).check(HealthCheckRequest(service=service))
    assert answer.status is HealthCheckResponseServingStatus.SERVING


async def test_health_of_an_unknown_service_is_not_found(channel):
    with pytest.raises(GRPCError) as raised:
        await HealthStub(channel).check(HealthCheckRequest(service="other"))
    assert raised.value.status is Status.NOT_FOUND


async def test_health_can_be_watched(channel):
    watch = HealthStub(channel).watch(HealthCheckRequest())
    assert (await anext(watch)).status is HealthCheckResponseServingStatus.SERVING
    await watch.aclose()
