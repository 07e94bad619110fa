"""Objects of S3 as files. A directory is what has something below it, or a marker: an empty object `name/`."""

from collections.abc import AsyncIterator

from apollo_client.hadoop.files.port import Status
from apollo_common.assignment import PartUpload
from apollo_common.errors import ObjectNotFound
from apollo_common.storage.location import parse
from apollo_common.storage.port import StorageAccess, Upload
from apollo_common.storage.s3 import DELETE_BATCH, S3Store

PIECE_BYTES = 16 << 20  # of a multipart upload, whose 10,000 pieces then hold 156 GiB
_DIRECTORY_MODE = 0o777
_FILE_MODE = 0o666


class Buckets:
    """See FileSystem. Where S3 lives and the credentials come from the environment's AWS_* variables."""

    def __init__(self) -> None:
        self._store = S3Store(StorageAccess())

    async def close(self) -> None:
        await self._store.close()

    async def status(self, url: str) -> Status | None:
        if parse(url).key:
            found = await self._store.stat(url)
            if found is not None:
                return _file(url, found.size_bytes, found.modified_ms)
        elif not await self._has_bucket(url):
            return None
        async for _ in self._store.children(f"{url}/"):
            return _directory(url)
        marked = not parse(url).key or await self._store.stat(f"{url}/") is not None
        return _directory(url) if marked else None

    async def children(self, url: str) -> AsyncIterator[Status]:
        found: dict[str, Status] = {}
        async for info in self._store.children(f"{url}/"):
            below = info.url.rstrip("/")
            if below != info.url:
                found.setdefault(below, _directory(below))
            else:
                found[below] = _file(below, info.size_bytes, info.modified_ms)
        for below in sorted(found, key=str.encode):
            yield found[below]

    def read(self, url: str, *, offset: int = 0, length_bytes: int | None = None) -> AsyncIterator[bytes]:
        return self._store.read(url, offset=offset, length_bytes=length_bytes)

    async def write(self, url: str, content: AsyncIterator[bytes]) -> None:
        piece, parts = bytearray(), list[PartUpload]()
        upload: Upload | None = None
        try:
            async for chunk in content:
                piece += chunk
                while len(piece) >= PIECE_BYTES:
                    upload = upload or await self._store.create_upload(url, metadata={})
                    parts.append(await self._store.upload_part(upload, len(parts) + 1, bytes(piece[:PIECE_BYTES])))
                    del piece[:PIECE_BYTES]
            if upload is None:
                await self._store.put(url, bytes(piece))
                return
            if piece:
                parts.append(await self._store.upload_part(upload, len(parts) + 1, bytes(piece)))
            await self._store.complete_upload(upload, parts)
        except BaseException:
            if upload is not None:
                await self._store.abort_upload(upload)
            raise

    async def make_directory(self, url: str) -> None:
        if parse(url).key and await self.status(url) is None:
            await self._store.put(f"{url}/", b"")

    async def remove(self, url: str) -> None:
        batch = [url]
        async for below in self._everything(url):
            batch.append(below)
            if len(batch) == DELETE_BATCH:
                await self._store.delete(batch)
                batch = []
        await self._store.delete([*batch, f"{url}/"])

    async def _everything(self, url: str) -> AsyncIterator[str]:
        async for info in self._store.children(f"{url}/"):
            if info.url.endswith("/"):
                async for below in self._everything(info.url.rstrip("/")):
                    yield below
            yield info.url

    async def _has_bucket(self, url: str) -> bool:
        try:
            async for _ in self._store.children(f"{url}/"):
                break
        except ObjectNotFound:
            return False
        return True


def _file(url: str, size_bytes: int, modified_ms: int | None) -> Status:
    return Status(url, is_directory=False, size_bytes=size_bytes, modified_ms=modified_ms or 0, mode=_FILE_MODE)


def _directory(url: str) -> Status:
    return Status(url, is_directory=True, mode=_DIRECTORY_MODE)
