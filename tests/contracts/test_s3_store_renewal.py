"""An S3 store that is retired or gets other credentials while calls are under way."""

import asyncio
import gc
import warnings
from contextlib import aclosing
from dataclasses import replace

import pytest

from apollo_common.errors import StorageAccessDenied
from apollo_common.storage import open as storage_open
from apollo_common.storage.open import Stores
from apollo_common.storage.s3 import S3Store

CONTENT = bytes(range(256)) * 40_000  # 10 chunks: more than a connection holds
PARALLEL_READERS = 4


@pytest.fixture
def url(s3_server, s3_bucket):
    s3_server.client().put_object(Bucket=s3_bucket, Key="whole", Body=CONTENT)
    return f"s3://{s3_bucket}/whole"


async def nothing_open() -> None:
    """A client that was forgotten open warns when it is collected."""
    await asyncio.sleep(0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()


async def whole(store, url) -> bytes:
    return b"".join([chunk async for chunk in store.read(url)])


async def test_a_retired_store_serves_who_uses_it_and_holds_nothing_open_then(s3_server, url):
    store = S3Store(s3_server.access)
    async with aclosing(store.read(url)) as chunks:
        first = await anext(chunks)
        await store.retire()
        assert first + b"".join([chunk async for chunk in chunks]) == CONTENT
    assert await asyncio.gather(*(whole(store, url) for _ in range(PARALLEL_READERS))) == [CONTENT] * PARALLEL_READERS
    assert (await store.stat(url)).size_bytes == len(CONTENT)
    del store, chunks
    await nothing_open()


async def test_the_one_store_too_many_is_not_taken_from_its_user(s3_server, url, monkeypatch):
    monkeypatch.setattr(storage_open, "MAX_OPEN_S3_STORES", 1)
    stores = Stores()
    used = await stores.open(url, s3_server.access)
    async with aclosing(used.read(url)) as chunks:
        first = await anext(chunks)
        await stores.open(url, replace(s3_server.access, region="elsewhere"))
        assert first + b"".join([chunk async for chunk in chunks]) == CONTENT
    assert await whole(used, url) == CONTENT
    await stores.close()
    del used, chunks
    await nothing_open()


async def test_fresh_credentials_are_used_from_the_next_call_on(s3_server, url):
    stores = Stores()
    expired = replace(s3_server.access, secret_access_key="expired")
    store = await stores.open(url, expired)
    with pytest.raises(StorageAccessDenied):
        await store.stat(url)
    await stores.renew(expired, s3_server.access)
    assert (await store.stat(url)).size_bytes == len(CONTENT)
    assert await whole(await stores.open(url, expired), url) == CONTENT
    await stores.close()


async def test_what_is_under_way_ends_with_the_credentials_that_it_began_with(s3_server, url):
    store = S3Store(s3_server.access)
    async with aclosing(store.read(url)) as chunks:
        first = await anext(chunks)
        await store.renew(replace(s3_server.access, secret_access_key="no such"))
        assert first + b"".join([chunk async for chunk in chunks]) == CONTENT
    with pytest.raises(StorageAccessDenied):
        await store.stat(url)
    await store.close()


async def test_credentials_may_be_renewed_before_their_store_was_ever_used(s3_server, url):
    stores = Stores()
    expired = replace(s3_server.access, secret_access_key="expired")
    await stores.renew(expired, s3_server.access)
    assert await whole(await stores.open(url, expired), url) == CONTENT
    await stores.close()
