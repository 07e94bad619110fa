"""The object store of the simulation, behind Apollo's real commit code. Any call may fail, hang or lose its answer."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

from apollo_common.assignment import PartUpload
from apollo_common.errors import OutputNotWritable, StorageUnavailable
from apollo_common.storage.memory import MemoryStore
from apollo_common.storage.port import ObjectInfo, ObjectStore, StorageAccess, Upload
from simulation.faults import Faults

CALL_SECONDS = 0.1
HANG_SECONDS = 60.0
SUCCESS = "_SUCCESS"


class FaultyStore(MemoryStore):
    """Also its own StoreOpener. Looks at the outputs after every change: `torn` names those that readers see broken."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self.faults = faults
        self.down = False
        self.torn: list[str] = []

    async def open(self, _url: str, _access: StorageAccess) -> ObjectStore:
        return self

    # What is there

    def objects(self, output: str) -> dict[str, bytes]:
        """What readers see below an output, by name."""
        return {
            url.removeprefix(f"{output}/"): found.content
            for url, found in self._objects.items()
            if url.startswith(f"{output}/")
        }

    def open_uploads(self) -> set[str]:
        return set(self._uploads)

    def seed(self, output: str, contents: Mapping[str, bytes]) -> None:
        """An output of another time, whole."""
        for name, content in contents.items():
            self._store(f"{output}/{name}", content, {})
        self._store(f"{output}/{SUCCESS}", manifest_of("before", contents), {})

    def _look_at(self, url: str) -> None:
        """`_SUCCESS` promises that everything beside it is whole and of one job."""
        output = url.rpartition("/")[0]
        objects = self.objects(output)
        success = objects.pop(SUCCESS, None)
        if success is None:
            return
        told = {part["name"]: part["sha256"] for part in json.loads(success)["parts"]}
        if told != {name: hashlib.sha256(content).hexdigest() for name, content in objects.items()}:
            self.torn.append(f"{output}: {SUCCESS} names {sorted(told)}, there are {sorted(objects)}")

    # Of workers, which try again by themselves

    async def take_part(self, upload: Upload, content: bytes) -> PartUpload:
        return await super().upload_part(upload, 1, content)

    async def remove_upload(self, upload: Upload) -> None:
        """As a life-cycle rule of the bucket does."""
        self._uploads.pop(upload.upload_id, None)

    # Of the coordinator

    async def find(self, url: str) -> AsyncGenerator[ObjectInfo, None]:
        await self._call()
        async with aclosing(super().find(url)) as found:
            async for info in found:
                yield info

    async def stat(self, url: str) -> ObjectInfo | None:
        await self._call()
        return await super().stat(url)

    async def put(self, url: str, content: bytes, *, only_if_absent: bool = False) -> None:
        await self._call()
        await super().put(url, content, only_if_absent=only_if_absent)
        self._look_at(url)
        self._answer()

    async def delete(self, urls: Sequence[str]) -> None:
        await self._call()
        for url in urls:
            await super().delete([url])
            self._look_at(url)
        self._answer()

    async def create_upload(self, url: str, *, metadata: Mapping[str, str]) -> Upload:
        await self._call()
        if self.faults.meets("refused_output"):
            raise OutputNotWritable(f"the store refuses {url}")
        upload = await super().create_upload(url, metadata=metadata)
        self._answer()
        return upload

    async def complete_upload(self, upload: Upload, parts: Sequence[PartUpload]) -> None:
        await self._call()
        await super().complete_upload(upload, parts)
        self._look_at(upload.url)
        self._answer()

    async def abort_upload(self, upload: Upload) -> None:
        await self._call()
        await super().abort_upload(upload)
        self._answer()

    async def list_uploads(self, url_prefix: str) -> list[Upload]:
        await self._call()
        return await super().list_uploads(url_prefix)

    async def _call(self) -> None:
        await asyncio.sleep(self.faults.seconds(CALL_SECONDS))
        if self.faults.meets("call_hangs"):
            await asyncio.sleep(self.faults.seconds(HANG_SECONDS))
        if self.down or self.faults.meets("call_fails"):
            raise StorageUnavailable("the store does not answer")

    def _answer(self) -> None:
        if self.faults.meets("lost_answer"):
            raise StorageUnavailable("the answer was lost")


def manifest_of(job: str, contents: Mapping[str, bytes]) -> bytes:
    parts = [{"name": name, "sha256": hashlib.sha256(content).hexdigest()} for name, content in contents.items()]
    return json.dumps({"job": job, "parts": parts}).encode()
