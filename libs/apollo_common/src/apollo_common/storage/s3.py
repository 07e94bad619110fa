"""The object store over S3 and over what speaks its protocol."""

import asyncio
import importlib
import re
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from types import ModuleType
from typing import Any

from apollo_common.assignment import PartUpload
from apollo_common.calls import observed
from apollo_common.errors import (
    ApolloError,
    InputChanged,
    ObjectNotFound,
    OutputExists,
    StorageUnavailable,
    UploadLost,
)
from apollo_common.storage.glob import Pattern, has_wildcard
from apollo_common.storage.location import parse
from apollo_common.storage.observer import UNOBSERVED, StorageObserver
from apollo_common.storage.port import ObjectInfo, StorageAccess, Upload
from apollo_common.storage.s3_forms import listed_object, listed_upload, modified_ms, object_arguments, upload_arguments
from apollo_common.storage.shared_client import SharedClient
from apollo_common.threads import in_thread

READ_CHUNK_BYTES = 1 << 20
DELETE_BATCH = 1000  # the most that one DeleteObjects takes

CALL_TIMEOUT_SECONDS = 180  # one call with all its repeats and its wait for a connection
COMPLETE_TIMEOUT_SECONDS = 600  # S3 takes minutes to put thousands of large pieces together
MIN_UPLOAD_BYTES_PER_SECOND = 64 << 10  # a piece gets more time by its size
CHUNK_TIMEOUT_SECONDS = 60  # for each READ_CHUNK_BYTES of a body

MAX_RESUMES = 5  # of a body that was cut or slow, with little progress in between
MIN_PROGRESS_BYTES = 64 << 10
RESUME_PAUSE_SECONDS = 0.1  # doubled for each


_NOTHING_SPECIAL: Mapping[str, Exception] = {}

_PROMISED: Mapping[str, frozenset[str]] = {
    "head_object": frozenset({"ContentLength", "ETag"}),
    "get_object": frozenset({"Body", "ContentLength", "ETag"}),
    "create_multipart_upload": frozenset({"UploadId"}),
    "upload_part": frozenset({"ETag"}),
}
"""What an answer must hold. A server or a proxy in trouble may say 200 and leave it out."""


class S3Store:
    """Objects by `s3://bucket/key` at one endpoint with one set of credentials.

    The client is made on first use, and again on the first use after `close`. Without an endpoint in `access`,
    AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL says where S3 lives, else AWS itself. Calls under way keep their client,
    whatever happens to the store: only `close` takes it from them.
    """

    def __init__(self, access: StorageAccess, observer: StorageObserver = UNOBSERVED) -> None:
        self._access = access
        self._observer = observer
        self._opening = asyncio.Lock()
        self._library: ModuleType | None = None
        self._client: SharedClient | None = None
        self._retired = False

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

    async def folders(self, url: str, *, named: re.Pattern[str] | None = None) -> AsyncGenerator[str, None]:
        location = parse(url)
        async for page in self._pages(location.bucket, location.key, Delimiter="/"):
            for prefix in (found["Prefix"] for found in page.get("CommonPrefixes", ())):
                name = prefix[len(location.key) : -1]
                wanted = named is None or named.fullmatch(name)
                if wanted and await self._holds_anything(location.bucket, prefix):
                    yield name

    async def stat(self, url: str) -> ObjectInfo | None:
        try:
            found = await self._call("head_object", url, **object_arguments(url))
        except ObjectNotFound:
            return None
        return ObjectInfo(url, found["ContentLength"], found["ETag"], modified_ms(found))

    async def children(self, url: str) -> AsyncGenerator[ObjectInfo, None]:
        """What lies right below `url`, a place with a slash at its end: objects, hidden ones too, and folders.

        A folder's URL ends in a slash; of an empty one only a marker tells. In no order.
        """
        location = parse(url)
        async for page in self._pages(location.bucket, location.key, Delimiter="/"):
            for found in page.get("Contents", ()):
                if found["Key"] != location.key:
                    yield listed_object(location.bucket, found)
            for prefix in page.get("CommonPrefixes", ()):
                yield ObjectInfo(f"s3://{location.bucket}/{prefix['Prefix']}", 0, "")

    async def read(
        self, url: str, *, offset: int = 0, length_bytes: int | None = None, version: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        end = None if length_bytes is None else offset + length_bytes
        failures, progress_from = 0, offset
        while end is None or offset < end:
            async with self._use("get_object", url) as client:
                try:
                    body, version, end = await self._get(client, url, offset, end, version)
                except _BeyondEnd:
                    await self._check_version(url, version)
                    return
                async with body:
                    try:
                        while offset < end:
                            chunk = await self._read_chunk(url, body, min(READ_CHUNK_BYTES, end - offset))
                            offset += len(chunk)
                            self._observer.received(len(chunk))
                            yield chunk
                    except StorageUnavailable as error:  # the library repeats requests, but never a body that was cut
                        failures = failures + 1 if offset - progress_from < MIN_PROGRESS_BYTES else 1
                        progress_from = offset
                        if failures > MAX_RESUMES:
                            self._observer.body_given_up(error.reason)
                            raise
                        self._observer.resumed()
            if offset < end:
                await asyncio.sleep(RESUME_PAUSE_SECONDS * 2**failures)

    async def put(self, url: str, content: bytes, *, only_if_absent: bool = False) -> None:
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if only_if_absent else {}
        exists = {"PreconditionFailed": OutputExists(f"{url} exists already")}
        await self._call("put_object", url, means=exists, **object_arguments(url), Body=content, **condition)
        self._observer.sent(len(content))

    async def delete(self, urls: Sequence[str]) -> None:
        keys = defaultdict(list)
        for url in urls:
            location = object_arguments(url)
            keys[location["Bucket"]].append({"Key": location["Key"]})
        for bucket, objects in keys.items():
            for start in range(0, len(objects), DELETE_BATCH):
                batch = {"Objects": objects[start : start + DELETE_BATCH], "Quiet": True}
                await self._call("delete_objects", f"s3://{bucket}/", Bucket=bucket, Delete=batch)

    async def create_upload(self, url: str, *, metadata: Mapping[str, str]) -> Upload:
        made = await self._call("create_multipart_upload", url, **object_arguments(url), Metadata=dict(metadata))
        return Upload(url, made["UploadId"], metadata)

    async def upload_part(self, upload: Upload, number: int, content: bytes) -> PartUpload:
        seconds = CALL_TIMEOUT_SECONDS + len(content) / MIN_UPLOAD_BYTES_PER_SECOND
        answer = await self._call(
            "upload_part", upload.url, seconds=seconds, **upload_arguments(upload), PartNumber=number, Body=content
        )
        self._observer.sent(len(content))
        return PartUpload(number, answer["ETag"], len(content))

    async def complete_upload(self, upload: Upload, parts: Sequence[PartUpload]) -> None:
        ordered = sorted(parts, key=lambda part: part.number)
        listed = {"Parts": [{"ETag": part.etag, "PartNumber": part.number} for part in ordered]}
        try:
            await self._call(
                "complete_multipart_upload",
                upload.url,
                seconds=COMPLETE_TIMEOUT_SECONDS,
                **upload_arguments(upload),
                MultipartUpload=listed,
            )
        except UploadLost:
            if not await self._carries(upload):
                raise

    async def abort_upload(self, upload: Upload) -> None:
        with suppress(UploadLost):
            await self._call("abort_multipart_upload", upload.url, **upload_arguments(upload))

    async def list_uploads(self, url_prefix: str) -> list[Upload]:
        location = parse(url_prefix)
        uploads: list[Upload] = []
        markers: dict[str, Any] = {}
        while True:
            page = await self._call(
                "list_multipart_uploads", url_prefix, Bucket=location.bucket, Prefix=location.key, **markers
            )
            uploads += [listed_upload(location.bucket, found) for found in page.get("Uploads", ())]
            if not page.get("IsTruncated"):
                return uploads
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    async def renew(self, access: StorageAccess) -> None:
        """From now on call with other credentials. What is under way goes on with those that it began with."""
        async with self._opening:
            self._access = access
            former, self._client = self._client, None
        if former is not None:
            await former.retire()

    async def retire(self) -> None:
        """Hold nothing open while no call is under way. Who still has the store may go on to use it."""
        async with self._opening:
            self._retired = True
            former, self._client = self._client, None
        if former is not None:
            await former.retire()

    async def close(self) -> None:
        async with self._opening:
            former, self._client = self._client, None
        if former is not None:
            await former.close()

    async def _list(self, bucket: str, prefix: str) -> AsyncIterator[tuple[str, ObjectInfo]]:
        """Keys below a prefix, in byte order, with what is known of them."""
        async for page in self._pages(bucket, prefix):
            for found in page.get("Contents", ()):
                yield found["Key"], listed_object(bucket, found)

    async def _holds_anything(self, bucket: str, prefix: str) -> bool:
        """SeaweedFS goes on showing folders whose last object was deleted."""
        url = f"s3://{bucket}/{prefix}"
        page = await self._call("list_objects_v2", url, Bucket=bucket, Prefix=prefix, MaxKeys=1)
        return bool(page.get("Contents"))

    async def _pages(self, bucket: str, prefix: str, **asked: str) -> AsyncIterator[Any]:
        """The answers that together list a prefix."""
        url, token = f"s3://{bucket}/{prefix}", dict[str, str]()
        while True:
            page = await self._call("list_objects_v2", url, Bucket=bucket, Prefix=prefix, **asked, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def _get(
        self, client: Any, url: str, offset: int, end: int | None, version: str | None
    ) -> tuple[Any, str, int]:
        """An open body, the object's version, and the offset at which the body ends."""
        bounds: dict[str, Any] = (
            {} if offset == 0 and end is None else {"Range": f"bytes={offset}-{'' if end is None else end - 1}"}
        )
        beyond = {"InvalidRange": _BeyondEnd()}
        answer = await self._ask(client, "get_object", url, means=beyond, **object_arguments(url), **bounds)
        if version not in (None, answer["ETag"]):
            answer["Body"].close()
            raise _changed(url)
        return answer["Body"], answer["ETag"], offset + answer["ContentLength"]

    async def _check_version(self, url: str, version: str | None) -> None:
        """InputChanged, ObjectNotFound: an object that ends too early may be another one than was meant."""
        if version is None:
            return
        found = await self.stat(url)
        if found is None:
            raise ObjectNotFound(f"{url} does not exist any more")
        if found.version != version:
            raise _changed(url)

    async def _read_chunk(self, url: str, body: Any, length_bytes: int) -> bytes:
        """`length_bytes`, or what came before the body was cut; when nothing did, StorageUnavailable."""
        library: Any = self._library
        pieces: list[bytes] = []
        left = length_bytes
        with self._mapped("get_object", url):
            async with asyncio.timeout(CHUNK_TIMEOUT_SECONDS):
                try:
                    while left and (piece := await body.read(left)):
                        pieces.append(piece)
                        left -= len(piece)
                except library.LIBRARY_ERRORS:
                    if not pieces:
                        raise
        if not pieces:
            raise StorageUnavailable(f"{url} was cut off while it was read")
        return b"".join(pieces)

    async def _carries(self, upload: Upload) -> bool:
        """Whether the object at the upload's URL is what this upload made: its answer may have been lost."""
        try:
            found = await self._call("head_object", upload.url, **object_arguments(upload.url))
        except ObjectNotFound:
            return False
        return bool(upload.metadata) and found["Metadata"] == dict(upload.metadata)

    async def _call(self, operation: str, url: str, **arguments: Any) -> Any:
        """See `_ask`."""
        async with self._use(operation, url) as client:
            return await self._ask(client, operation, url, **arguments)

    async def _ask(
        self,
        client: Any,
        operation: str,
        url: str,
        *,
        seconds: float = CALL_TIMEOUT_SECONDS,
        means: Mapping[str, Exception] = _NOTHING_SPECIAL,
        **arguments: Any,
    ) -> Any:
        """The answer to one request, by its name in the library; the library's errors come out as ours.

        `means` says what an error code means for this request.
        """
        with observed(partial(self._observer.call_ended, operation)):
            with self._mapped(operation, url, means):
                async with asyncio.timeout(seconds):
                    answer = await getattr(client, operation)(**arguments)
            self._count_repeats(operation, answer)
            missing = sorted(_PROMISED.get(operation, frozenset()) - answer.keys())
            if missing:
                raise StorageUnavailable(f"{operation} {url}: the answer lacks {', '.join(missing)}")
            for refused in answer.get("Errors", ()):  # of delete_objects, which may delete some keys and others not
                raise self._refusal(operation, f"{url}{refused['Key']}", refused["Code"])
        return answer

    def _count_repeats(self, operation: str, answer: Mapping[str, Any]) -> None:
        times = answer.get("ResponseMetadata", {}).get("RetryAttempts", 0)
        if times:
            self._observer.repeated(operation, times)

    @asynccontextmanager
    async def _use(self, operation: str, url: str) -> AsyncIterator[Any]:
        """An open client for a call; what goes wrong in opening it is told as that call's error."""
        async with AsyncExitStack() as using:
            async with self._opening:
                if self._client is None or self._client.closed:
                    self._client = await self._open(operation, url)
                client = await using.enter_async_context(self._client.used())
                if self._retired:
                    await self._client.retire()
            yield client

    async def _open(self, operation: str, url: str) -> SharedClient:
        """A client that was not there yet. When it cannot be had, the call that needs it has ended."""
        library: Any = await in_thread(importlib.import_module, "apollo_common.storage.s3_client")
        self._library = library
        started = time.monotonic()
        try:
            with self._mapped(operation, url):
                client = await SharedClient.open(library.new_client(self._access))
        except ApolloError as error:
            self._observer.call_ended(operation, error.reason, time.monotonic() - started)
            raise
        return client

    @contextmanager
    def _mapped(self, operation: str, url: str, means: Mapping[str, Exception] = _NOTHING_SPECIAL) -> Iterator[None]:
        library: Any = self._library
        try:
            yield
        except library.LIBRARY_ERRORS as error:
            self._count_repeats(operation, library.answer_of(error))
            meant = means.get(library.code_of(error))
            raise meant or library.as_ours(error, operation, url, self._access) from error

    def _refusal(self, operation: str, url: str, code: str) -> ApolloError:
        library: Any = self._library
        refusal: ApolloError = library.refusal(code, operation, url, self._access)
        return refusal


class _BeyondEnd(Exception):
    """A range that starts at or behind the object's end: there is nothing to read, which is no error."""


def _changed(url: str) -> InputChanged:
    return InputChanged(f"{url} changed since the job was planned: run the job again")
