"""grpclib with Apollo's corrections, over real sockets."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from grpclib import GRPCError
from grpclib.const import Status

from apollo_common import grpc
from apollo_common.grpc import ChannelClosed, GrpcChannel, GrpcServer, bearer_metadata
from apollo_proto.apollo.v1 import (
    ArtifactChunk,
    AttachTaskRequest,
    CancelTaskRequest,
    CancelTaskResponse,
    DescribeRequest,
    DescribeResponse,
    PutArtifactResponse,
    TaskEvent,
    WorkerBase,
    WorkerStub,
)
from apollo_proto.grpc.health.v1 import HealthBase, HealthCheckRequest, HealthCheckResponse, HealthStub

PATIENCE_SECONDS = 10


class Service(WorkerBase):
    def __init__(self) -> None:
        self.streams = 0

    async def describe(self, message: DescribeRequest) -> DescribeResponse:
        return DescribeResponse(worker_id="w")

    async def put_artifact(self, messages: AsyncIterator[ArtifactChunk]) -> PutArtifactResponse:
        async for _ in messages:
            pass
        return PutArtifactResponse(already_present=True)

    async def attach_task(self, message: AttachTaskRequest) -> AsyncIterator[TaskEvent]:
        self.streams += 1
        yield TaskEvent(sequence=1)
        await asyncio.Event().wait()

    async def cancel_task(self, message: CancelTaskRequest) -> CancelTaskResponse:
        await asyncio.Event().wait()
        return CancelTaskResponse()


class Health(HealthBase):
    async def check(self, message: HealthCheckRequest) -> HealthCheckResponse:
        return HealthCheckResponse()


class Connected:
    def __init__(self, service: Service, server: GrpcServer, channel: GrpcChannel) -> None:
        self.service = service
        self.server = server
        self.channel = channel
        self.stub = WorkerStub(channel)


@pytest.fixture
async def connected() -> AsyncIterator[Connected]:
    service = Service()
    server = GrpcServer([service, Health()], token="right")
    channel = GrpcChannel("127.0.0.1", await server.listen_on("127.0.0.1", 0))
    case = Connected(service, server, channel)
    case.stub = WorkerStub(channel, metadata=bearer_metadata("right"))
    yield case
    channel.close()
    await server.stop(0)


@pytest.mark.parametrize("metadata", [{}, bearer_metadata("wrong"), {"authorization": "right"}])
async def test_a_call_without_the_token_is_refused(connected, metadata):
    with pytest.raises(GRPCError) as raised:
        await WorkerStub(connected.channel, metadata=metadata).describe()
    assert raised.value.status is Status.UNAUTHENTICATED


async def test_health_needs_no_token(connected):
    await HealthStub(connected.channel).check(HealthCheckRequest())


async def test_a_call_tells_the_server_that_somebody_is_there(connected):
    before = connected.server.last_call_seconds
    await HealthStub(connected.channel).check(HealthCheckRequest())
    assert connected.server.last_call_seconds == before
    await connected.stub.describe()
    assert connected.server.last_call_seconds > before


async def test_a_message_over_the_limit_is_refused_by_the_server(connected, monkeypatch):
    monkeypatch.setattr(grpc, "MAX_MESSAGE_BYTES", 1000)

    async def chunks() -> AsyncIterator[ArtifactChunk]:
        yield ArtifactChunk(content=bytes(2000))

    with pytest.raises(GRPCError) as raised:
        await connected.stub.put_artifact(chunks())
    assert raised.value.status is Status.RESOURCE_EXHAUSTED


async def test_more_streams_than_grpclib_allows_run_at_a_time(connected):
    streams = [connected.stub.attach_task(AttachTaskRequest()) for _ in range(150)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(anext(stream) for stream in streams))
    assert connected.service.streams == 150
    for stream in streams:
        await stream.aclose()


async def test_a_lost_connection_leaves_no_cancellation_behind(connected):
    """Else asyncio.timeout in the same task raises CancelledError instead of TimeoutError ever after."""
    stream = connected.stub.attach_task(AttachTaskRequest())
    await anext(stream)
    asyncio.get_running_loop().call_later(0.05, connected.channel.close)
    with pytest.raises(Exception, match="Connection closed"):
        await anext(stream)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()


async def test_a_connection_that_is_lost_as_soon_as_it_is_made_is_a_lost_connection(connected, monkeypatch):
    make = GrpcChannel._create_connection

    async def lose(self):
        protocol = await make(self)
        protocol.connection._transport.abort()
        await asyncio.sleep(0.01)  # the loop hears of it before the call goes on
        return protocol

    monkeypatch.setattr(GrpcChannel, "_create_connection", lose)
    with pytest.raises(ConnectionError):
        await connected.stub.describe(DescribeRequest())
    monkeypatch.undo()
    assert (await connected.stub.describe(DescribeRequest())).worker_id == "w"


async def test_a_deadline_leaves_no_cancellation_behind(connected):
    with pytest.raises(TimeoutError):
        await connected.stub.cancel_task(CancelTaskRequest(), timeout=0.05)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_at_the_moment_of_the_loss_is_not_swallowed(connected):
    stream = connected.stub.attach_task(AttachTaskRequest())
    await anext(stream)
    waiting = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    connected.channel.close()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await stream.aclose()


async def test_stopping_does_not_wait_for_clients_to_hang_up(connected):
    stream = connected.stub.attach_task(AttachTaskRequest())
    await anext(stream)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await connected.server.stop(0.05)
    with pytest.raises(Exception, match=r"shuts down|lost|closed|GOAWAY|reset"):
        await anext(stream)


async def test_stopping_lets_calls_finish_and_takes_no_new_ones(connected):
    stream = connected.stub.attach_task(AttachTaskRequest())
    await anext(stream)
    stopping = asyncio.create_task(connected.server.stop(PATIENCE_SECONDS))
    await asyncio.sleep(0.05)
    with pytest.raises(GRPCError) as raised:
        await connected.stub.describe()
    assert raised.value.status is Status.UNAVAILABLE
    await stream.aclose()
    await stopping


async def test_stopping_a_server_that_never_listened_is_no_error():
    await GrpcServer([Service()]).stop(0)


async def test_a_closed_channel_never_connects_again(connected):
    await connected.stub.describe()
    connected.channel.close()
    with pytest.raises(ChannelClosed):
        await connected.stub.describe()


async def test_closing_while_connecting_leaves_no_connection(connected, monkeypatch):
    made = []
    connecting, go_on = asyncio.Event(), asyncio.Event()
    connect = connected.channel._create_connection

    async def slowly():
        connecting.set()
        await go_on.wait()
        made.append(await connect())
        return made[0]

    monkeypatch.setattr(connected.channel, "_create_connection", slowly)
    call = asyncio.create_task(connected.stub.describe())
    await connecting.wait()
    connected.channel.close()
    go_on.set()
    with pytest.raises(ChannelClosed):
        await call
    assert made[0].connection.is_closing()
