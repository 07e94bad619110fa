"""Which store serves a URL. Opens stores when they are first needed, shares them, closes them at the end."""

from collections import OrderedDict
from typing import Protocol

from apollo_common.errors import StorageAccessDenied
from apollo_common.storage.file import FileStore
from apollo_common.storage.location import parse
from apollo_common.storage.observer import UNOBSERVED, StorageObserver
from apollo_common.storage.policy import StorePolicy
from apollo_common.storage.port import ObjectStore, StorageAccess
from apollo_common.storage.s3 import S3Store

MAX_OPEN_S3_STORES = 256
"""One per endpoint and credentials; the least recently used is retired for a new one: who uses it goes on with it."""


class StoreOpener(Protocol):
    """Gives the store that serves a URL. The opener owns the store: a caller does not close it."""

    async def open(self, url: str, access: StorageAccess) -> ObjectStore:
        """InvalidLocation, StorageAccessDenied."""
        ...


class Stores:
    """The stores of one process."""

    def __init__(self, policy: StorePolicy | None = None, observer: StorageObserver = UNOBSERVED) -> None:
        self._policy = policy or StorePolicy()
        self._observer = observer
        self._files = FileStore(self._policy)
        self._s3: OrderedDict[StorageAccess, S3Store] = OrderedDict()

    async def open(self, url: str, access: StorageAccess) -> ObjectStore:
        if parse(url).scheme == "file":
            return self._files
        self._check_endpoint(url, access)
        return await self._kept(access)

    async def renew(self, access: StorageAccess, fresh: StorageAccess) -> None:
        """Credentials that were given out for a time are followed by others.

        Whoever has opened a store with `access`, or will, calls with the fresh ones.
        """
        store = await self._kept(access)
        await store.renew(fresh)

    async def close(self) -> None:
        while self._s3:
            _, store = self._s3.popitem()
            await store.close()

    async def _kept(self, access: StorageAccess) -> S3Store:
        store = self._s3.pop(access, None) or S3Store(access, self._observer)
        self._s3[access] = store
        if len(self._s3) > MAX_OPEN_S3_STORES:
            _, oldest = self._s3.popitem(last=False)
            await oldest.retire()
        return store

    def _check_endpoint(self, url: str, access: StorageAccess) -> None:
        """No confused deputy: the environment's credentials go only where the operator lets them."""
        if access.access_key_id or not access.endpoint_url:
            return
        if not self._policy.trusts(access.endpoint_url):
            raise StorageAccessDenied(
                f"{url} at {access.endpoint_url} needs credentials in the job: "
                "the operator does not let the environment's own go to this endpoint"
            )
