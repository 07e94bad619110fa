"""Map outputs in a bucket, below `prefix/job/`. Workers write and read them; what nobody needs any more goes here.

Coordinators may share a prefix. Each leaves an object `apollo-coordinator-ID` there, before it has jobs. While there is
one such object only, objects of jobs that its coordinator does not know are nobody's.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

from apollo_common.errors import PermanentError
from apollo_common.ids import JobId
from apollo_common.logging import get_logger
from apollo_common.parallel import each
from apollo_common.storage import glob
from apollo_common.storage.port import ObjectStore, Upload
from apollo_coordinator.store.intermediate import JOB_DIRECTORY

_MARK = "apollo-coordinator-"  # no leading dot: a search finds no hidden names
_ABORTS_AT_ONCE = 8
_DELETES_AT_ONCE = 1000  # objects; what one call to S3 takes

_log = get_logger(__name__)


class IntermediateObjects:
    """See apollo_coordinator.ports.IntermediateStore. Only names that Apollo gives are touched."""

    def __init__(self, store: ObjectStore, url: str, *, coordinator: str) -> None:
        """`url`: the prefix, without a trailing slash."""
        self._store = store
        self._url = url
        self._mark = f"{_MARK}{coordinator}"
        self._lists_uploads = True

    @classmethod
    async def open(cls, store: ObjectStore, url: str, *, coordinator: str) -> Self:
        """Leaves the coordinator's mark. Errors of ObjectStore."""
        objects = cls(store, url, coordinator=coordinator)
        await store.put(f"{url}/{objects._mark}", b"")
        return objects

    async def remove(self, job: JobId) -> None:
        # Uploads come first: one that is completed meanwhile is an object by then.
        await each(await self._uploads(f"{job}/"), self._store.abort_upload, at_once=_ABORTS_AT_ONCE)
        batch: list[str] = []
        async for url in self._found(f"{job}/"):
            batch.append(url)
            if len(batch) == _DELETES_AT_ONCE:
                await self._store.delete(batch)
                batch.clear()
        await self._store.delete(batch)

    async def holds(self, job: JobId) -> bool:
        async with aclosing(self._found(f"{job}/")) as found:
            return await anext(found, None) is not None

    async def jobs(self) -> list[JobId]:
        async with aclosing(self._store.folders(f"{self._url}/", named=JOB_DIRECTORY)) as folders:
            names = {name async for name in folders}
        names |= {upload.url.removeprefix(f"{self._url}/").partition("/")[0] for upload in await self._uploads("")}
        return [JobId(name) for name in sorted(names) if JOB_DIRECTORY.fullmatch(name)]

    async def others(self) -> list[str]:
        return [url async for url in self._found(f"{_MARK}*") if url != f"{self._url}/{self._mark}"]

    async def _found(self, pattern: str) -> AsyncGenerator[str, None]:
        async with aclosing(self._store.find(f"{glob.escape(self._url)}/{pattern}")) as found:
            async for info in found:
                yield info.url

    async def _uploads(self, below: str) -> list[Upload]:
        """None where the store cannot list them, or does not let us: told once."""
        try:
            return await self._store.list_uploads(f"{self._url}/{below}")
        except PermanentError as error:
            if self._lists_uploads:
                self._lists_uploads = False
                _log.warning(
                    "unfinished uploads of map outputs cannot be listed: allow it (s3:ListBucketMultipartUploads), "
                    "or have a lifecycle rule of the bucket remove them",
                    error=str(error),
                )
            return []
