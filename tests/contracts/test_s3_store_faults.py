"""The S3 store through a proxy that makes calls go wrong: every call gets over what passes, and says what does not."""

import time
from collections import Counter

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from apollo_common.errors import (
    InputChanged,
    InvalidLocation,
    ObjectNotFound,
    StorageAccessDenied,
    StorageUnavailable,
    UploadLost,
)
from apollo_common.storage import s3, s3_client
from apollo_common.storage.observer import Unobserved
from apollo_common.storage.port import StorageAccess
from apollo_common.storage.s3 import S3Store
from support.s3_faults import TRANSIENT, Fault, Rule
from support.s3_proxy import S3Proxy

CONTENT = bytes(range(256)) * 12_000  # 3 chunks
PIECES = [b"x" * (5 << 20), b"the end"]
METADATA = {"apollo-attempt": "a-1"}


@pytest.fixture
async def proxy(s3_server):
    async with S3Proxy(s3_server.endpoint_url) as running:
        yield running


@pytest.fixture
async def store(s3_server, proxy):
    opened = S3Store(StorageAccess(proxy.endpoint_url, "", s3_server.access_key_id, s3_server.secret_access_key))
    yield opened
    await opened.close()


@pytest.fixture
def impatient(monkeypatch):
    """Bounds short enough for a test that meets them."""
    monkeypatch.setattr(s3_client, "READ_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(s3_client, "MAX_REQUEST_ATTEMPTS", 2)
    monkeypatch.setattr(s3, "MAX_RESUMES", 1)


async def content(chunks):
    return b"".join([chunk async for chunk in chunks])


async def use_every_call(store, bucket):
    """What a job does with a store; every answer is checked."""
    url = f"s3://{bucket}/d/whole"
    await store.put(url, CONTENT)
    assert (await store.stat(url)).size_bytes == len(CONTENT)
    assert await content(store.read(url, offset=3)) == CONTENT[3:]
    assert [info.url async for info in store.find(f"s3://{bucket}/d/")] == [url]
    upload = await store.create_upload(f"s3://{bucket}/d/parts", metadata=METADATA)
    parts = [await store.upload_part(upload, number, piece) for number, piece in enumerate(PIECES, 1)]
    assert upload in await store.list_uploads(f"s3://{bucket}/d/")
    await store.complete_upload(upload, parts)
    assert await content(store.read(upload.url)) == b"".join(PIECES)
    await store.delete([url, upload.url])
    assert await store.stat(url) is None
    await store.abort_upload(await store.create_upload(url, metadata={}))
    for left in await store.list_uploads(f"s3://{bucket}/d/"):  # of creations whose answer was lost
        await store.abort_upload(left)
    assert await store.list_uploads(f"s3://{bucket}/d/") == []


@pytest.mark.parametrize("fault", TRANSIENT)
async def test_every_call_gets_over_a_fault(store, proxy, s3_bucket, fault):
    """The first call of each operation is spoilt."""
    await use_every_call(store, s3_bucket)
    operations = sorted({call.operation for call in proxy.calls})
    assert len(operations) == 10
    if fault is Fault.ERROR_IN_200:
        operations = ["CompleteMultipartUpload"]  # no other call of ours answers like that
    proxy.plan.replace([Rule(fault, frozenset({name}), nth=frozenset({1}), seconds=0.1) for name in operations])
    await use_every_call(store, s3_bucket)
    assert proxy.plan.injected == {fault.value: len(operations)}


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("HeadObject", lambda store, url: store.stat(url)),
        ("GetObject", lambda store, url: content(store.read(url))),
        ("PutObject", lambda store, url: store.put(url, b"x")),
        ("CreateMultipartUpload", lambda store, url: store.create_upload(url, metadata={})),
        ("DeleteObjects", lambda store, url: store.delete([url])),
    ],
)
@pytest.mark.parametrize("fault", [Fault.INTERNAL_ERROR, Fault.HANG, Fault.FORBIDDEN, Fault.LOST_ANSWER])
async def test_what_stays_wrong_is_said_in_bounded_time(store, proxy, s3_bucket, impatient, fault, operation, call):
    proxy.plan.replace([Rule(fault, frozenset({operation}), seconds=60)])
    expected = StorageAccessDenied if fault is Fault.FORBIDDEN else StorageUnavailable
    with pytest.raises(expected) as caught:
        await call(store, f"s3://{s3_bucket}/some key")
    said = str(caught.value).replace("_", "")
    assert s3_bucket in said
    assert operation.lower() in said
    assert "some key" in said or operation == "DeleteObjects"
    assert proxy.plan.injected[fault.value] <= 4  # aiohttp repeats what meets a broken kept-alive connection


async def test_a_clock_that_is_wrong_is_named_and_no_refusal_of_credentials(store, proxy, s3_bucket):
    proxy.plan.replace([Rule(Fault.SKEWED)])
    with pytest.raises(StorageUnavailable, match=r"set this machine's, as by NTP \(put_object: RequestTimeTooSkewed\)"):
        await store.put(f"s3://{s3_bucket}/key", b"")
    proxy.plan.replace([])
    await store.put(f"s3://{s3_bucket}/key", b"")


@pytest.mark.parametrize(("session_token", "expected"), [("", StorageAccessDenied), ("for a time", StorageUnavailable)])
async def test_credentials_that_were_given_for_a_time_may_be_followed_by_others(
    proxy, s3_server, s3_bucket, session_token, expected
):
    access = StorageAccess(proxy.endpoint_url, "", s3_server.access_key_id, s3_server.secret_access_key, session_token)
    store = S3Store(access)
    proxy.plan.replace([Rule(Fault.EXPIRED)])
    with pytest.raises(expected, match="get_object: ExpiredToken"):
        await content(store.read(f"s3://{s3_bucket}/some key"))
    assert proxy.plan.injected == {"expired": 1}
    await store.close()


async def test_a_call_is_bounded_as_a_whole(store, s3_bucket, proxy):
    proxy.plan.replace([Rule(Fault.HANG, seconds=60)])
    before = time.monotonic()
    with pytest.raises(StorageUnavailable, match="head_object: TimeoutError"):
        await store._call("head_object", f"s3://{s3_bucket}/k", seconds=0.2, Bucket=s3_bucket, Key="k")
    assert time.monotonic() - before < s3_client.READ_TIMEOUT_SECONDS


async def test_a_body_that_trickles_for_ever_is_given_up(store, proxy, s3_bucket, impatient, monkeypatch):
    url = f"s3://{s3_bucket}/slow"
    await store.put(url, CONTENT)
    monkeypatch.setattr(s3, "CHUNK_TIMEOUT_SECONDS", 0.5)
    proxy.plan.replace([Rule(Fault.TRICKLE, seconds=10)])  # never silent for long
    with pytest.raises(StorageUnavailable, match=r"slow.*get_object"):
        await content(store.read(url))
    assert proxy.plan.injected == {"trickle": 2}


async def test_bodies_that_are_always_cut_are_read_as_long_as_each_brings_something(
    store, proxy, s3_bucket, monkeypatch
):
    monkeypatch.setattr(s3, "RESUME_PAUSE_SECONDS", 0.001)
    url = f"s3://{s3_bucket}/cut"
    await store.put(url, CONTENT)
    proxy.plan.replace([Rule(Fault.CUT_ANSWER, frozenset({"GetObject"}))])
    with pytest.raises(StorageUnavailable, match="cut"):  # half of what is left, again and again, until it is little
        await content(store.read(url))
    assert proxy.plan.injected["cut-answer"] > s3.MAX_RESUMES + 3
    proxy.plan.replace([Rule(Fault.CUT_ANSWER, frozenset({"GetObject"}), times=8)])
    assert await content(store.read(url)) == CONTENT


class Heard(Unobserved):
    """Which calls ended how."""

    def __init__(self) -> None:
        self.ends: Counter[tuple[str, str]] = Counter()
        self.given_up: list[str] = []

    def call_ended(self, operation: str, result: str, seconds: float) -> None:
        assert seconds >= 0
        self.ends[operation, result] += 1

    def body_given_up(self, result: str) -> None:
        self.given_up.append(result)


@pytest.fixture
async def heard(s3_server, proxy):
    """A store that tells of its calls, and what it has told."""
    heard = Heard()
    access = StorageAccess(proxy.endpoint_url, "", s3_server.access_key_id, s3_server.secret_access_key)
    store = S3Store(access, heard)
    yield store, heard
    await store.close()


async def test_a_body_that_is_given_up_is_told_of(heard, proxy, s3_bucket, impatient):
    store, told = heard
    url = f"s3://{s3_bucket}/small"
    await store.put(url, bytes(1000))
    proxy.plan.replace([Rule(Fault.CUT_ANSWER, frozenset({"GetObject"}), times=1)])
    assert await content(store.read(url)) == bytes(1000)
    assert (told.ends["get_object", "ok"], told.given_up) == (2, []), "read on by another call"
    proxy.plan.replace([Rule(Fault.CUT_ANSWER, frozenset({"GetObject"}))])
    with pytest.raises(StorageUnavailable):
        await content(store.read(url))
    assert told.given_up == ["storage_unavailable"]


async def test_keys_that_are_not_deleted_make_a_call_that_failed(s3_server):
    """Amazon S3 API Reference, DeleteObjects: 200, and an error for each of them."""
    answer = b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(body=answer, content_type="application/xml")

    application = web.Application()
    application.router.add_post("/bucket", refuse)
    heard = Heard()
    async with TestServer(application) as server:
        store = S3Store(StorageAccess(str(server.make_url("/")), "", "key", "secret"), heard)
        with pytest.raises(StorageAccessDenied, match=r"s3://bucket/k at .*delete_objects: AccessDenied"):
            await store.delete(["s3://bucket/k", "s3://bucket/other"])
        await store.close()
    assert heard.ends == {("delete_objects", "storage_access_denied"): 1}


async def test_a_call_for_which_no_client_can_be_made_has_failed(s3_bucket):
    heard = Heard()
    store = S3Store(StorageAccess("nowhere", "", "key", "secret"), heard)
    with pytest.raises(InvalidLocation, match="nowhere"):
        await store.stat(f"s3://{s3_bucket}/k")
    assert heard.ends == {("head_object", "invalid_location"): 1}


async def test_an_object_replaced_by_a_shorter_one_is_noticed_behind_its_end(store, s3_bucket):
    url = f"s3://{s3_bucket}/shorter"
    await store.put(url, CONTENT)
    version = (await store.stat(url)).version
    await store.put(url, b"short")
    with pytest.raises(InputChanged, match="shorter"):
        await content(store.read(url, offset=1000, version=version))
    await store.delete([url])
    with pytest.raises(ObjectNotFound, match="shorter"):
        await content(store.read(url, offset=1000, version=version))


async def test_an_upload_that_is_gone_is_not_taken_for_another_ones_object(store, proxy, s3_bucket):
    """Completing finds no upload; what lies at its place came from another attempt."""
    url = f"s3://{s3_bucket}/part"
    ours, other = [await store.create_upload(url, metadata={"apollo-attempt": name}) for name in ("a-1", "a-2")]
    part = await store.upload_part(other, 1, b"other")
    await store.complete_upload(other, [part])
    await store.complete_upload(other, [part])
    await store.abort_upload(ours)
    with pytest.raises(UploadLost):
        await store.complete_upload(ours, [part])


async def test_refused_deletions_are_temporary_when_the_store_says_so(s3_server, s3_bucket):
    store = S3Store(s3_server.access)
    await store.stat(f"s3://{s3_bucket}/k")
    assert store._refusal("delete_objects", f"s3://{s3_bucket}/k", "SlowDown").retryable
    assert not store._refusal("delete_objects", f"s3://{s3_bucket}/k", "AccessDenied").retryable
    await store.close()


async def test_an_answer_without_what_it_must_hold_is_trouble_of_the_store(store, proxy, s3_bucket):
    url = f"s3://{s3_bucket}/whole"
    await store.put(url, CONTENT)
    proxy.plan.replace([Rule(Fault.ERROR_IN_200, frozenset({"HeadObject"}))])
    with pytest.raises(StorageUnavailable, match=f"head_object {url}: the answer lacks .*ETag"):
        await store.stat(url)
