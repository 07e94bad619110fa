from dataclasses import replace

import pytest

from apollo_common.errors import InvalidLocation, StorageAccessDenied
from apollo_common.storage import open as storage_open
from apollo_common.storage.file import FileStore
from apollo_common.storage.open import Stores
from apollo_common.storage.policy import StorePolicy
from apollo_common.storage.port import StorageAccess
from apollo_common.storage.s3 import S3Store

JOB = StorageAccess("http://minio:9000", "", "id", "secret")
AMBIENT = StorageAccess("http://minio:9000")


async def test_one_store_for_the_same_access():
    stores = Stores()
    files = await stores.open("file:///x", JOB)
    first = await stores.open("s3://bucket/x", JOB)
    assert isinstance(files, FileStore)
    assert isinstance(first, S3Store)
    assert await stores.open("s3://other/y", replace(JOB)) is first
    assert await stores.open("s3://other/y", replace(JOB, secret_access_key="new")) is not first
    await stores.close()


async def test_the_number_of_open_stores_is_bounded(monkeypatch):
    monkeypatch.setattr(storage_open, "MAX_OPEN_S3_STORES", 2)
    stores = Stores()
    accesses = [replace(JOB, access_key_id=str(index)) for index in range(3)]
    opened = [await stores.open("s3://b/k", access) for access in accesses]
    assert await stores.open("s3://b/k", accesses[2]) is opened[2]
    assert await stores.open("s3://b/k", accesses[0]) is not opened[0]
    await stores.close()


async def test_a_store_whose_credentials_are_renewed_stays_the_same(monkeypatch):
    stores = Stores()
    before = await stores.open("s3://b/k", JOB)
    await stores.renew(JOB, replace(JOB, access_key_id="other"))
    assert await stores.open("s3://b/k", JOB) is before
    await stores.close()


async def test_the_environments_credentials_go_only_to_listed_endpoints():
    stores = Stores(StorePolicy(environment_endpoints=frozenset({"http://trusted:9000/"})))
    with pytest.raises(StorageAccessDenied, match="minio:9000 needs credentials"):
        await stores.open("s3://bucket/x", AMBIENT)
    for access in (JOB, StorageAccess(), StorageAccess("http://trusted:9000"), StorageAccess("http://Trusted:9000")):
        await stores.open("s3://bucket/x", access)
    await Stores().open("s3://bucket/x", AMBIENT)


async def test_file_roots_reach_the_file_store(tmp_path):
    stores = Stores(StorePolicy(file_roots=()))
    store = await stores.open(f"file://{tmp_path}/x", StorageAccess())
    with pytest.raises(StorageAccessDenied):
        await store.stat(f"file://{tmp_path}/x")


async def test_what_is_no_store_url_is_refused():
    with pytest.raises(InvalidLocation):
        await Stores().open("data/in.txt", StorageAccess())
