"""The object store over S3 and over what speaks its protocol."""

import asyncio
import importlib
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from types import ModuleType
from typing import Any

from apollo_common.assignment import PartUpload
from apollo_common.errors import (
    ApolloError,
    InputChanged,
    InvalidLocation,
    ObjectNotFound,
    OutputExists,
    PermanentError,
    StorageUnavailable,
    UploadLost,
)
from apollo_common.storage.glob import Pattern, has_wildcard
from apollo_common.storage.location import Location, parse
from apollo_common.storage.port import ObjectInfo, StorageAccess, Upload
from apollo_common.threads import in_thread

READ_CHUNK_BYTES = 1 << 20
DELETE_BATCH = 1000  # the most that one DeleteObjects takes
MAX_RESUMES = 5  # of a body that was cut, without a byte of progress in between
RESUME_PAUSE_SECONDS = 0.1  # doubled for each


class S3Store:
    """Objects by `s3://bucket/key` at one endpoint with one set of credentials.

    The client is made on first use, and again on the first use after `close`. Without an endpoint in `access`,
    AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL says where S3 lives, else AWS itself.
    """

    def __init__(self, access: StorageAccess) -> None:
        self._access = access
        self._opening = asyncio.Lock()
        self._resources = AsyncExitStack()
        self._library: ModuleType | None = None
        self._client: Any = None

    async def find(self, url: str) -> AsyncGenerator[ObjectInfo, None]:
        location = parse(url)
        key, wild = location.key, has_wildcard(location.key)
        if key and not wild and not key.endswith("/"):
            if (info := await self.stat(url)) is not None:
                yield info
                return
            key += "/"
        pattern = Pattern(key)
        matched = False
        async for name, info in self._list(location.bucket, pattern.literal_prefix):
            if pattern.matches(name):
                matched = True
                yield info
        if wild and not matched and not key.endswith("/") and (literal := await self.stat(url)) is not None:
            yield literal

    async def stat(self, url: str) -> ObjectInfo | None:
        location = _object(url)
        with suppress(ObjectNotFound):
            async with self._client_for(url) as client:
                found = await client.head_object(Bucket=location.bucket, Key=location.key)
                return ObjectInfo(url, found["ContentLength"], found["ETag"])
        return None

    async def read(
        self, url: str, *, offset: int = 0, length_bytes: int | None = None, version: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        end = None if length_bytes is None else offset + length_bytes
        failures = 0
        while end is None or offset < end:
            try:
                body, version, end = await self._get(url, offset, end, version)
            except _BeyondEnd:
                return
            async with body:
                try:
                    while offset < end:
                        chunk = await self._read_body(url, body, min(READ_CHUNK_BYTES, end - offset))
                        offset += len(chunk)
                        failures = 0
                        yield chunk
                except StorageUnavailable:  # the library repeats requests, but never a body that was cut
                    failures += 1
                    if failures > MAX_RESUMES:
                        raise
            if failures:
                await asyncio.sleep(RESUME_PAUSE_SECONDS * 2**failures)

    async def put(self, url: str, content: bytes, *, only_if_absent: bool = False) -> None:
        location = _object(url)
        condition = {"IfNoneMatch": "*"} if only_if_absent else {}
        async with self._client_for(url, PreconditionFailed=OutputExists(f"{url} exists already")) as client:
            await client.put_object(Bucket=location.bucket, Key=location.key, Body=content, **condition)

    async def delete(self, urls: Sequence[str]) -> None:
        keys = defaultdict(list)
        for url in urls:
            location = _object(url)
            keys[location.bucket].append({"Key": location.key})
        for bucket, objects in keys.items():
            for start in range(0, len(objects), DELETE_BATCH):
                batch = {"Objects": objects[start : start + DELETE_BATCH], "Quiet": True}
                async with self._client_for(f"s3://{bucket}/") as client:
                    answer = await client.delete_objects(Bucket=bucket, Delete=batch)
                for refused in answer.get("Errors", ()):
                    raise PermanentError(f"s3://{bucket}/{refused['Key']} cannot be deleted ({refused['Code']})")

    async def create_upload(self, url: str, *, metadata: Mapping[str, str]) -> Upload:
        location = _object(url)
        async with self._client_for(url) as client:
            made = await client.create_multipart_upload(
                Bucket=location.bucket, Key=location.key, Metadata=dict(metadata)
            )
        return Upload(url, made["UploadId"], metadata)

    async def upload_part(self, upload: Upload, number: int, content: bytes) -> PartUpload:
        location = _object(upload.url)
        async with self._client_for(upload.url) as client:
            answer = await client.upload_part(
                Bucket=location.bucket,
                Key=location.key,
                UploadId=upload.upload_id,
                PartNumber=number,
                Body=content,
            )
        return PartUpload(number, answer["ETag"], len(content))

    async def complete_upload(self, upload: Upload, parts: Sequence[PartUpload]) -> None:
        location = _object(upload.url)
        ordered = sorted(parts, key=lambda part: part.number)
        listed = [{"ETag": part.etag, "PartNumber": part.number} for part in ordered]
        try:
            async with self._client_for(upload.url) as client:
                await client.complete_multipart_upload(
                    Bucket=location.bucket,
                    Key=location.key,
                    UploadId=upload.upload_id,
                    MultipartUpload={"Parts": listed},
                )
        except UploadLost:
            if not await self._carries(upload):
                raise

    async def abort_upload(self, upload: Upload) -> None:
        location = _object(upload.url)
        with suppress(UploadLost):
            async with self._client_for(upload.url) as client:
                await client.abort_multipart_upload(Bucket=location.bucket, Key=location.key, UploadId=upload.upload_id)

    async def list_uploads(self, url_prefix: str) -> list[Upload]:
        location = parse(url_prefix)
        uploads: list[Upload] = []
        markers: dict[str, str] = {}
        while True:
            async with self._client_for(url_prefix) as client:
                page = await client.list_multipart_uploads(Bucket=location.bucket, Prefix=location.key, **markers)
            uploads += [
                Upload(f"s3://{location.bucket}/{found['Key']}", found["UploadId"]) for found in page.get("Uploads", ())
            ]
            if not page.get("IsTruncated"):
                return uploads
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    async def close(self) -> None:
        async with self._opening:
            self._client = None
            await self._resources.aclose()

    async def _list(self, bucket: str, prefix: str) -> AsyncIterator[tuple[str, ObjectInfo]]:
        """Keys below a prefix, in byte order, with what is known of them."""
        url = f"s3://{bucket}/{prefix}"
        token: dict[str, str] = {}
        while True:
            async with self._client_for(url) as client:
                page = await client.list_objects_v2(Bucket=bucket, Prefix=prefix, **token)
            for found in page.get("Contents", ()):
                yield found["Key"], ObjectInfo(f"s3://{bucket}/{found['Key']}", found["Size"], found["ETag"])
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def _get(self, url: str, offset: int, end: int | None, version: str | None) -> tuple[Any, str, int]:
        """An open body, the object's version, and the offset at which the body ends."""
        location = _object(url)
        bounds = {} if offset == 0 and end is None else {"Range": f"bytes={offset}-{'' if end is None else end - 1}"}
        async with self._client_for(url, InvalidRange=_BeyondEnd()) as client:
            answer = await client.get_object(Bucket=location.bucket, Key=location.key, **bounds)
        if version not in (None, answer["ETag"]):
            answer["Body"].close()
            raise InputChanged(f"{url} changed since the job was planned: run the job again")
        return answer["Body"], answer["ETag"], offset + answer["ContentLength"]

    async def _read_body(self, url: str, body: Any, length_bytes: int) -> bytes:
        with self._mapped(url):
            chunk: bytes = await body.read(length_bytes)
        if not chunk:
            raise StorageUnavailable(f"{url} was cut off while it was read")
        return chunk

    async def _carries(self, upload: Upload) -> bool:
        """Whether the object at the upload's URL is what this upload made: its answer may have been lost."""
        location = _object(upload.url)
        with suppress(ObjectNotFound):
            async with self._client_for(upload.url) as client:
                found = await client.head_object(Bucket=location.bucket, Key=location.key)
                return bool(upload.metadata) and found["Metadata"] == dict(upload.metadata)
        return False

    @asynccontextmanager
    async def _client_for(self, url: str, **errors: ApolloError) -> AsyncIterator[Any]:
        """The client; the library's errors come out as ours. `errors` says what a code means for this request."""
        async with self._opening:
            if self._client is None:
                self._library = await in_thread(importlib.import_module, "apollo_common.storage.s3_client")
                with self._mapped(url):
                    client = self._library.new_client(self._access)
                    self._client = await self._resources.enter_async_context(client)
            client = self._client
        with self._mapped(url, **errors):
            yield client

    @contextmanager
    def _mapped(self, url: str, **errors: ApolloError) -> Iterator[None]:
        library: Any = self._library
        try:
            yield
        except library.LIBRARY_ERRORS as error:
            meant = errors.get(library.code_of(error))
            raise meant or library.as_ours(error, url, self._access) from error


class _BeyondEnd(PermanentError):
    """A range that starts at or behind the object's end: there is nothing to read."""


def _object(url: str) -> Location:
    """The location of one object. InvalidLocation when the URL names none."""
    location = parse(url)
    if location.scheme != "s3" or not location.key:
        raise InvalidLocation(f"{url} names no object: write s3://bucket/key")
    return location
