"""Who may call a worker that serves over TLS, and whom a coordinator takes for its worker: real handshakes."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apollo_common.errors import InvalidSetting, WorkerUnreachable
from apollo_common.grpc import GrpcServer
from apollo_common.tls import COORDINATOR_NAME, WORKER_NAME, coordinator_context, worker_context
from apollo_coordinator.pools.kubernetes.job_keys import VALID_FOR, make_job_keys
from apollo_coordinator.rpc.link import GrpcWorkerLink
from apollo_proto.apollo.v1 import DescribeRequest, DescribeResponse, WorkerBase
from support.orders import map_order
from support.pools import QUICK_LINK

PATIENCE_SECONDS = 20


class Worker(WorkerBase):
    def __init__(self) -> None:
        self.calls = 0

    async def describe(self, message: DescribeRequest) -> DescribeResponse:
        self.calls += 1
        return DescribeResponse(worker_id="w")


def worker_side(keys: dict[str, str], directory: Path) -> ssl.SSLContext:
    """As in a pod that mounts a job's Secret."""
    directory.mkdir()
    for name, key in (("ca.crt", "ca.crt"), ("tls.crt", "worker.crt"), ("tls.key", "worker.key")):
        (directory / name).write_text(keys[key])
    return worker_context(directory)


def coordinator_side(keys: dict[str, str], role: str = "coordinator") -> ssl.SSLContext:
    return coordinator_context(keys["ca.crt"], keys[f"{role}.crt"], keys[f"{role}.key"])


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None, *, token: str = "") -> AsyncIterator[tuple[Worker, str]]:
    worker = Worker()
    server = GrpcServer([worker], tls=tls, token=token)
    try:
        yield worker, f"127.0.0.1:{await server.listen_on('127.0.0.1', 0)}"
    finally:
        await server.stop(0)


async def answer(address: str, tls: ssl.SSLContext | None, token: str = "") -> str:
    """The worker's id, or why it could not be asked; in bounded time."""
    link = GrpcWorkerLink(address, token, QUICK_LINK, tls=tls)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await link.describe()).worker_id
    finally:
        await link.close()


@pytest.fixture(scope="module")
def keys() -> dict[str, str]:
    return make_job_keys()


@pytest.fixture
def workers(keys, tmp_path) -> ssl.SSLContext:
    return worker_side(keys, tmp_path / "tls")


async def test_both_sides_of_a_job_know_each_other(keys, workers):
    async with serving(workers) as (_, address):
        assert await answer(address, coordinator_side(keys)) == "w"


async def test_what_they_say_is_encrypted_with_tls_1_3(keys, workers):
    async with serving(workers) as (_, address):
        host, _, port = address.partition(":")
        _, writer = await asyncio.open_connection(
            host, int(port), ssl=coordinator_side(keys), server_hostname=WORKER_NAME
        )
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        writer.transport.abort()


def nobody(keys: dict[str, str]) -> ssl.SSLContext:
    """Trusts the job's workers, but has nothing to show."""
    context = ssl.create_default_context(cadata=keys["ca.crt"])
    context.set_alpn_protocols(["h2"])
    return context


def of_another_job(keys: dict[str, str]) -> ssl.SSLContext:
    """The coordinator's keys of another job; does not care who answers."""
    context = coordinator_side(make_job_keys())
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def a_worker(keys: dict[str, str]) -> ssl.SSLContext:
    """The keys that every worker pod of the same job holds."""
    return coordinator_side(keys, "worker")


def an_older_protocol(keys: dict[str, str]) -> ssl.SSLContext:
    context = coordinator_side(keys)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def plain(keys: dict[str, str]) -> None:
    return None


@pytest.mark.parametrize("stranger", [nobody, of_another_job, a_worker, an_older_protocol, plain])
async def test_a_stranger_commands_no_worker(keys, workers, stranger):
    async with serving(workers) as (worker, address):
        with pytest.raises(WorkerUnreachable):
            await answer(address, stranger(keys), token="guess")
        assert worker.calls == 0
        assert await answer(address, coordinator_side(keys)) == "w", "the stranger did harm"


async def test_a_stranger_follows_no_stream(keys, workers):
    async with serving(workers) as (_, address):
        link = GrpcWorkerLink(address, "", QUICK_LINK, tls=of_another_job(keys))
        with pytest.raises(WorkerUnreachable):
            await anext(link.attach(map_order("hang").attempt_id))
        await link.close()


async def test_a_worker_of_another_job_is_not_taken_for_ones_own(keys, tmp_path):
    async with serving(worker_side(make_job_keys(), tmp_path / "other")) as (worker, address):
        with pytest.raises(WorkerUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await answer(address, coordinator_side(keys))
        assert worker.calls == 0


async def test_a_coordinators_keys_make_no_worker(keys, tmp_path):
    stolen = keys | {"worker.crt": keys["coordinator.crt"], "worker.key": keys["coordinator.key"]}
    async with serving(worker_side(stolen, tmp_path / "stolen")) as (_, address):
        with pytest.raises(WorkerUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await answer(address, coordinator_side(keys))


async def test_keys_are_good_for_the_longest_job(tmp_path):
    keys = make_job_keys(now=datetime.now(UTC) - timedelta(days=366))  # the longest jobTimeoutSeconds is a year
    async with serving(worker_side(keys, tmp_path / "tls")) as (_, address):
        assert await answer(address, coordinator_side(keys)) == "w"


@pytest.mark.parametrize("days", [-1, VALID_FOR.days + 1], ids=["not yet valid", "expired"])
async def test_keys_out_of_their_time_are_refused(tmp_path, days):
    keys = make_job_keys(now=datetime.now(UTC) - timedelta(days=days))
    async with serving(worker_side(keys, tmp_path / "tls")) as (worker, address):
        with pytest.raises(WorkerUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await answer(address, coordinator_side(keys))
        careless = coordinator_side(keys)
        careless.check_hostname = False
        careless.verify_mode = ssl.CERT_NONE
        with pytest.raises(WorkerUnreachable):
            await answer(address, careless)
        assert worker.calls == 0


async def test_a_worker_without_tls_is_not_spoken_to(keys):
    async with serving(None) as (worker, address):
        with pytest.raises(WorkerUnreachable):
            await answer(address, coordinator_side(keys))
        assert worker.calls == 0


async def test_who_connects_and_says_nothing_keeps_nobody_away(keys, workers):
    async with serving(workers) as (_, address):
        host, _, port = address.partition(":")
        with socket.create_connection((host, int(port))):
            assert await answer(address, coordinator_side(keys)) == "w"


@pytest.mark.parametrize("token", ["", "wrong", "righ", "right "])
async def test_another_token_is_refused(token):
    async with serving(None, token="right") as (worker, address):
        with pytest.raises(WorkerUnreachable, match="UNAUTHENTICATED"):
            await answer(address, None, token=token)
        assert worker.calls == 0
        assert await answer(address, None, token="right") == "w"


@pytest.mark.parametrize("missing", ["ca.crt", "tls.crt", "tls.key"])
def test_keys_that_are_not_there_are_named(keys, tmp_path, missing):
    worker_side(keys, tmp_path / "tls")
    (tmp_path / "tls" / missing).unlink()
    with pytest.raises(InvalidSetting, match=r"ca\.crt, tls\.crt and tls\.key: No such file"):
        worker_context(tmp_path / "tls")


def test_keys_that_are_none_are_refused_without_showing_them(keys):
    with pytest.raises(ValueError, match="these keys cannot be used") as raised:
        coordinator_context(keys["ca.crt"], keys["coordinator.crt"], keys["worker.key"])
    assert "BEGIN" not in str(raised.value)
    assert COORDINATOR_NAME not in str(raised.value)
