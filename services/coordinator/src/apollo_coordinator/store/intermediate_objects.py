"""Map outputs in a bucket, below `prefix/job/`. Workers write and read them; what nobody needs any more goes here.

Coordinators may share a prefix. Each leaves an object `apollo-coordinator-ID` there, before it has jobs. While there is
one such object only, objects of jobs that its coordinator does not know are nobody's.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Self

from apollo_common.errors import PermanentError
from apollo_common.ids import JobId
from apollo_common.parallel import each
from apollo_common.storage import glob
from apollo_common.storage.port import ObjectStore, Upload
from apollo_coordinator.store.intermediate import JOB_DIRECTORY

_MARK = "apollo-coordinator-"  # no leading dot: a search finds no hidden names
_ABORTS_AT_ONCE = 8


class IntermediateObjects:
    """See apollo_coordinator.ports.IntermediateStore. Only names that Apollo gives are touched."""

    def __init__(self, store: ObjectStore, url: str, *, coordinator: str) -> None:
        """`url`: the prefix, without a trailing slash."""
        self._store = store
        self._url = url
        self._mark = f"{_MARK}{coordinator}"

    @classmethod
    async def open(cls, store: ObjectStore, url: str, *, coordinator: str) -> Self:
        """Leaves the coordinator's mark. Errors of ObjectStore."""
        objects = cls(store, url, coordinator=coordinator)
        await store.put(f"{url}/{objects._mark}", b"")
        return objects

    async def remove(self, job: JobId) -> None:
        # Uploads come first: one that is completed meanwhile is an object by then.
        await each(await self._uploads(f"{job}/"), self._store.abort_upload, at_once=_ABORTS_AT_ONCE)
        await self._store.delete([f"{self._url}/{name}" async for name in self._names(f"{job}/")])

    async def jobs(self) -> list[JobId]:
        names = [name async for name in self._names("")]
        names += [upload.url.removeprefix(f"{self._url}/") for upload in await self._uploads("")]
        jobs = {name.partition("/")[0] for name in names if "/" in name}
        return [JobId(job) for job in sorted(jobs) if JOB_DIRECTORY.fullmatch(job)]

    async def shared(self) -> bool:
        marks = [name async for name in self._names(f"{_MARK}*")]
        return any(name != self._mark for name in marks)

    async def _names(self, pattern: str) -> AsyncIterator[str]:
        """What is there below the prefix, relative to it."""
        async with aclosing(self._store.find(f"{glob.escape(self._url)}/{pattern}")) as found:
            async for info in found:
                yield info.url.removeprefix(f"{self._url}/")

    async def _uploads(self, below: str) -> list[Upload]:
        with suppress(PermanentError):  # some stores cannot list uploads, or do not let us
            return await self._store.list_uploads(f"{self._url}/{below}")
        return []
