"""The object store over a file system: a mounted volume, or the user's own files in local mode."""

import asyncio
import os
import re
import stat as stat_module
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from apollo_common.assignment import PartUpload
from apollo_common.errors import (
    InputChanged,
    InvalidLocation,
    ObjectNotFound,
    OutputExists,
    StorageAccessDenied,
    UploadLost,
)
from apollo_common.storage.file_errors import MISSING, reading, writing
from apollo_common.storage.files import fsync_directory, locked, write_all
from apollo_common.storage.glob import Pattern, has_wildcard
from apollo_common.storage.location import parse
from apollo_common.storage.policy import StorePolicy
from apollo_common.storage.port import ObjectInfo, Upload
from apollo_common.storage.staging import Staging
from apollo_common.threads import in_thread

READ_CHUNK_BYTES = 1 << 20
LISTING_BATCH = 1000

P = ParamSpec("P")
R = TypeVar("R")

_Inodes = tuple[tuple[int, int], ...]


class FileStore:
    """Files by `file:///path`, as far as the policy lets them be reached."""

    def __init__(self, policy: StorePolicy | None = None) -> None:
        self._policy = policy or StorePolicy()
        self._staging = Staging()

    async def find(self, url: str) -> AsyncGenerator[ObjectInfo, None]:
        walk = self._walk(url)
        while batch := await in_thread(list, islice(walk, LISTING_BATCH)):
            for info in batch:
                yield info

    async def folders(self, url: str, *, named: re.Pattern[str] | None = None) -> AsyncGenerator[str, None]:
        for name in await in_thread(self._folders, url):
            if named is None or named.fullmatch(name):
                yield name

    async def stat(self, url: str) -> ObjectInfo | None:
        return await in_thread(self._stat, url)

    async def read(
        self, url: str, *, offset: int = 0, length_bytes: int | None = None, version: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        descriptor, found = await in_thread(self._open, url, version)
        try:
            end = found.st_size if length_bytes is None else min(found.st_size, offset + length_bytes)
            while offset < end:
                chunk = await in_thread(_pread, descriptor, min(READ_CHUNK_BYTES, end - offset), offset, url)
                offset += len(chunk)
                yield chunk
            if version is not None and _version(await in_thread(os.fstat, descriptor)) != version:
                raise _changed(url)
        finally:
            os.close(descriptor)

    async def put(self, url: str, content: bytes, *, only_if_absent: bool = False) -> None:
        await in_thread(self._put, url, content, only_if_absent=only_if_absent)

    async def delete(self, urls: Sequence[str]) -> None:
        await in_thread(self._delete, urls)

    async def create_upload(self, url: str, *, metadata: Mapping[str, str]) -> Upload:
        return Upload(url, await self._stage(url, self._staging.create), metadata)

    async def upload_part(self, upload: Upload, number: int, content: bytes) -> PartUpload:
        begin = await self._stage(upload.url, self._staging.append, upload.upload_id, content)
        return PartUpload(number, str(begin), len(content))

    async def complete_upload(self, upload: Upload, parts: Sequence[PartUpload]) -> None:
        await self._stage(upload.url, self._staging.complete, upload.upload_id, parts)

    async def abort_upload(self, upload: Upload) -> None:
        with suppress(UploadLost):
            await self._stage(upload.url, self._staging.abort, upload.upload_id)

    async def list_uploads(self, url_prefix: str) -> list[Upload]:
        def list_below() -> list[tuple[str, str]]:
            self._path(url_prefix)
            return self._staging.list_uploads(parse(url_prefix).key)

        with reading(url_prefix):
            found = await in_thread(list_below)
        return [Upload(f"file://{path}", upload_id) for path, upload_id in found]

    async def close(self) -> None:
        """Nothing is kept open between calls."""
        await asyncio.sleep(0)

    async def _stage(self, url: str, work: Callable[Concatenate[Path, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        with writing(url):
            return await in_thread(lambda: work(self._path(url), *args, **kwargs))

    # What follows blocks, and runs in threads.

    def _path(self, url: str) -> Path:
        """The path, if it is one that may be reached."""
        location = parse(url)
        if location.scheme != "file":
            raise InvalidLocation(f"{url} is no file: write file:///path")
        if not self._policy.reaches(location.key):
            raise StorageAccessDenied(f"{url} lies outside the directories that the operator allows (file roots)")
        return Path(location.key)

    def _folders(self, url: str) -> list[str]:
        path = self._path(url)
        with reading(url):
            try:
                return sorted((entry.name for entry in path.iterdir() if entry.is_dir()), key=os.fsencode)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def _stat(self, url: str) -> ObjectInfo | None:
        path = self._path(url)
        with reading(url):
            try:
                found = path.stat()
            except OSError as error:
                if error.errno in MISSING:
                    return None
                raise
        if stat_module.S_ISDIR(found.st_mode):
            return None
        if not stat_module.S_ISREG(found.st_mode):
            raise InvalidLocation(f"{url} is not a regular file: copy its content into one")
        return ObjectInfo(url, found.st_size, _version(found))

    def _walk(self, url: str) -> Iterator[ObjectInfo]:
        text = parse(url).key
        wild = has_wildcard(text)
        if not wild and not text.endswith("/"):
            if (info := self._stat(url)) is not None:
                yield info
                return
            text += "/"
        pattern = Pattern(text)
        matched = False
        for info in self._walk_directory(pattern.literal_prefix.rpartition("/")[0], pattern, ()):
            matched = True
            yield info
        if wild and not matched and (info := self._stat(url)) is not None:
            yield info

    def _walk_directory(self, directory: str, pattern: Pattern, above: _Inodes) -> Iterator[ObjectInfo]:
        """Files below, in byte order of their paths. `above` holds the directories on the way: links may make loops."""
        path = self._path(f"file://{directory}/")
        with reading(f"file://{directory}/"):
            try:
                here = path.stat()
                with os.scandir(path) as entries:
                    names = {f"{entry.name}/" if entry.is_dir() else entry.name: entry.is_file() for entry in entries}
            except OSError as error:
                if error.errno in MISSING:
                    return
                raise
        if (here.st_dev, here.st_ino) in above:
            return
        for name in sorted(names, key=os.fsencode):
            child = f"{directory}/{name.rstrip('/')}"
            if name.endswith("/"):
                if pattern.may_match_below(child):
                    yield from self._walk_directory(child, pattern, (*above, (here.st_dev, here.st_ino)))
            elif names[name] and pattern.matches(child) and (info := self._stat(f"file://{child}")) is not None:
                yield info

    def _open(self, url: str, version: str | None) -> tuple[int, os.stat_result]:
        path = self._path(url)
        with reading(url):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            found = os.fstat(descriptor)
        regular = stat_module.S_ISREG(found.st_mode)
        if regular and version in (None, _version(found)):
            return descriptor, found
        os.close(descriptor)
        raise _changed(url) if regular else ObjectNotFound(f"{url} is not a regular file")

    def _put(self, url: str, content: bytes, *, only_if_absent: bool) -> None:
        """Through a temporary file of a fixed name, under a lock: what a crash leaves, the next put takes over."""
        path = self._path(url)
        with writing(url):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".apollo-put-{path.name}")
            with locked(temporary) as descriptor:
                os.ftruncate(descriptor, 0)
                write_all(descriptor, content)
                os.fsync(descriptor)
                if only_if_absent:
                    _link(temporary, path, url)
                else:
                    temporary.rename(path)
            fsync_directory(path.parent)

    def _delete(self, urls: Sequence[str]) -> None:
        for url in urls:
            with writing(url):
                self._path(url).unlink(missing_ok=True)


def why_nothing(url: str) -> str:
    """Why `find` has yielded nothing for the URL of something that is there, for the user; else empty. Blocks."""
    path = Path(parse(url).key)
    with reading(url):
        if path.is_symlink() and not path.exists():
            return f"{url} is a link to nothing"
        if path.is_dir():
            return f"{url} holds no files to read (names that begin with . or _ are passed over)"
    return ""


def _link(temporary: Path, path: Path, url: str) -> None:
    """Give the file its name, unless that is taken: a hard link, unlike a rename, never replaces."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise OutputExists(f"{url} exists already") from None
    finally:
        temporary.unlink()


def _version(found: os.stat_result) -> str:
    return f"{found.st_size}-{found.st_mtime_ns}"


def _changed(url: str) -> InputChanged:
    return InputChanged(f"{url} changed since the job was planned: run the job again")


def _pread(descriptor: int, length_bytes: int, offset: int, url: str) -> bytes:
    with reading(url):
        chunk = os.pread(descriptor, length_bytes, offset)
    if not chunk:
        raise InputChanged(f"{url} became shorter while it was read: run the job again")
    return chunk
