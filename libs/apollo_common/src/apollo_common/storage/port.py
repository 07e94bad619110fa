"""The object store port."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from apollo_common.assignment import PartUpload


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as a listing or a stat shows it. `url` is absolute and reads back the same object."""

    url: str
    size_bytes: int
    version: str  # changes when the bytes change: an ETag, or size and modification time
    modified_ms: int | None = field(default=None, compare=False)  # since 1970; None where the store did not tell


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that is under way: invisible to readers until it is completed.

    `metadata` is what the object will carry. Whoever rebuilds an Upload from its id gives it too: it tells an upload
    that was completed, though the answer got lost, from one that is gone.
    """

    url: str
    upload_id: str
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)
    begun_ms: int | None = field(default=None, compare=False)  # by the store's clock; None where it does not tell


@dataclass(frozen=True, slots=True, repr=False)
class StorageAccess:
    """How to reach a store. Secret: has no repr, is never logged."""

    endpoint_url: str = ""
    region: str = ""
    access_key_id: str = ""  # empty: the environment's credentials
    secret_access_key: str = ""
    session_token: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class AttemptAccess:
    """What an attempt reaches its stores with. Secret, as its parts are."""

    input: StorageAccess
    output: StorageAccess
    intermediate: StorageAccess  # of map outputs, where they lie in a bucket


class ObjectStore(Protocol):
    """All methods take absolute URLs (`s3://bucket/key`, `file:///path`). Close a generator that you leave early.

    Errors, besides those named: StorageUnavailable, StorageAccessDenied, BucketNotFound, VolumeFull.
    """

    def find(self, url: str) -> AsyncGenerator[ObjectInfo, None]:
        """The objects that an input location names, in an order that is the store's own and stays the same.

        A plain URL names one object, or everything below it when it ends in a slash or is a directory or prefix;
        `*`, `?` and `[]` match within one path segment, `**` across them; hidden names (`.x`, `_x`) never match
        (apollo_common.storage.glob). A pattern that matches nothing may still be one object's literal name.
        Yields nothing when nothing matches.
        """
        ...

    def folders(self, url: str, *, named: re.Pattern[str] | None = None) -> AsyncGenerator[str, None]:
        """The names right below `url`, a place with a slash at its end, below which there are objects; each once.

        `named`: only those that match it as a whole. Each may cost a call, whatever lies below it; others cost none.
        Directories of a file system may be empty.
        """
        ...

    async def stat(self, url: str) -> ObjectInfo | None:
        """The object, or None when there is none."""
        ...

    def read(
        self, url: str, *, offset: int = 0, length_bytes: int | None = None, version: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Bytes from `offset`, in chunks of at most 1 MiB; a cut body is resumed.

        ObjectNotFound; InputChanged when `version` is given and the object has another.
        """
        ...

    async def put(self, url: str, content: bytes, *, only_if_absent: bool = False) -> None:
        """Write a small object atomically. OutputExists when `only_if_absent` and there is one; OutputNotWritable."""
        ...

    async def delete(self, urls: Sequence[str]) -> None:
        """Delete objects; one that does not exist is no error."""
        ...

    async def create_upload(self, url: str, *, metadata: Mapping[str, str]) -> Upload:
        """Begin an upload. OutputNotWritable."""
        ...

    async def upload_part(self, upload: Upload, number: int, content: bytes) -> PartUpload:
        """Upload piece `number` (from 1); the same number again replaces it. UploadLost."""
        ...

    async def complete_upload(self, upload: Upload, parts: Sequence[PartUpload]) -> None:
        """Make the object visible, replacing an older one; completing twice is no error.

        UploadLost, OutputNotWritable.
        """
        ...

    async def abort_upload(self, upload: Upload) -> None:
        """Discard an upload; one that is unknown is no error."""
        ...

    async def list_uploads(self, url_prefix: str) -> list[Upload]:
        """The uploads under way whose object URL starts with `url_prefix`."""
        ...

    async def close(self) -> None: ...
