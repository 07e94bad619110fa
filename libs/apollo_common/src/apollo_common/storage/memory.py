"""An object store in memory, for tests: takes any store URL and behaves as S3 does."""

import asyncio
import hashlib
import itertools
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

from apollo_common.assignment import PartUpload
from apollo_common.errors import InputChanged, ObjectNotFound, OutputExists, UploadLost
from apollo_common.storage.glob import Pattern, has_wildcard
from apollo_common.storage.location import parse
from apollo_common.storage.port import ObjectInfo, Upload

READ_CHUNK_BYTES = 1 << 20


@dataclass(slots=True)
class _Object:
    content: bytes
    version: str
    metadata: dict[str, str]


@dataclass(slots=True)
class _Upload:
    url: str
    metadata: dict[str, str]
    parts: dict[int, tuple[PartUpload, bytes]] = field(default_factory=dict)


class MemoryStore:
    """Objects by URL in a dict; every call gives other tasks a turn."""

    def __init__(self) -> None:
        self._objects: dict[str, _Object] = {}
        self._uploads: dict[str, _Upload] = {}
        self._numbers = itertools.count(1)

    async def find(self, url: str) -> AsyncGenerator[ObjectInfo, None]:
        await asyncio.sleep(0)
        wild = has_wildcard(parse(url).key)
        if not wild and (info := self._info(url)) is not None:
            yield info
            return
        pattern = Pattern(url if wild or url.endswith("/") else f"{url}/")
        found = [key for key in sorted(self._objects, key=str.encode) if pattern.matches(key)]
        for key in found or ([url] if wild else []):
            if (info := self._info(key)) is not None:
                yield info

    async def folders(self, url: str, *, named: re.Pattern[str] | None = None) -> AsyncGenerator[str, None]:
        await asyncio.sleep(0)
        below = [key.removeprefix(url) for key in self._objects if key.startswith(url)]
        for name in sorted({key.partition("/")[0] for key in below if "/" in key}, key=str.encode):
            if named is None or named.fullmatch(name):
                yield name

    async def stat(self, url: str) -> ObjectInfo | None:
        await asyncio.sleep(0)
        return self._info(url)

    async def read(
        self, url: str, *, offset: int = 0, length_bytes: int | None = None, version: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(0)
        found = self._objects.get(url)
        if found is None:
            raise ObjectNotFound(f"{url} does not exist")
        if version not in (None, found.version):
            raise InputChanged(f"{url} changed since the job was planned: run the job again")
        end = len(found.content) if length_bytes is None else min(len(found.content), offset + length_bytes)
        for start in range(offset, end, READ_CHUNK_BYTES):
            yield found.content[start : min(end, start + READ_CHUNK_BYTES)]

    async def put(self, url: str, content: bytes, *, only_if_absent: bool = False) -> None:
        await asyncio.sleep(0)
        if only_if_absent and url in self._objects:
            raise OutputExists(f"{url} exists already")
        self._store(url, content, {})

    async def delete(self, urls: Sequence[str]) -> None:
        await asyncio.sleep(0)
        for url in urls:
            self._objects.pop(url, None)

    async def create_upload(self, url: str, *, metadata: Mapping[str, str]) -> Upload:
        await asyncio.sleep(0)
        parse(url)
        upload_id = f"upload-{next(self._numbers)}"
        self._uploads[upload_id] = _Upload(url, dict(metadata))
        return Upload(url, upload_id, metadata)

    async def upload_part(self, upload: Upload, number: int, content: bytes) -> PartUpload:
        await asyncio.sleep(0)
        part = PartUpload(number, hashlib.md5(content, usedforsecurity=False).hexdigest(), len(content))
        self._under_way(upload).parts[number] = (part, content)
        return part

    async def complete_upload(self, upload: Upload, parts: Sequence[PartUpload]) -> None:
        await asyncio.sleep(0)
        if upload.upload_id not in self._uploads:
            done = self._objects.get(upload.url)
            if done is not None and upload.metadata and done.metadata == upload.metadata:
                return
        under_way = self._under_way(upload)
        if any(under_way.parts.get(part.number, (None,))[0] != part for part in parts):
            raise UploadLost(f"the upload of {upload.url} does not have all of its pieces")
        numbers = sorted(part.number for part in parts)
        self._store(upload.url, b"".join(under_way.parts[number][1] for number in numbers), under_way.metadata)
        del self._uploads[upload.upload_id]

    async def abort_upload(self, upload: Upload) -> None:
        await asyncio.sleep(0)
        self._uploads.pop(upload.upload_id, None)

    async def list_uploads(self, url_prefix: str) -> list[Upload]:
        await asyncio.sleep(0)
        return [
            Upload(upload.url, upload_id, upload.metadata)
            for upload_id, upload in self._uploads.items()
            if upload.url.startswith(url_prefix)
        ]

    async def close(self) -> None:
        """Forgets nothing: a store may be opened again."""
        await asyncio.sleep(0)

    def _info(self, url: str) -> ObjectInfo | None:
        found = self._objects.get(url)
        return None if found is None else ObjectInfo(url, len(found.content), found.version)

    def _store(self, url: str, content: bytes, metadata: dict[str, str]) -> None:
        parse(url)
        self._objects[url] = _Object(content, f"v{next(self._numbers)}", metadata)

    def _under_way(self, upload: Upload) -> _Upload:
        under_way = self._uploads.get(upload.upload_id)
        if under_way is None or under_way.url != upload.url:
            raise UploadLost(f"the upload of {upload.url} is gone")
        return under_way
