"""Files of this machine."""

import grp
import os
import pwd
import shutil
import stat as stat_module
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from apollo_client.hadoop.files.port import Status
from apollo_common.storage.file_errors import MISSING, reading, writing
from apollo_common.storage.location import parse
from apollo_common.threads import in_thread

READ_CHUNK_BYTES = 1 << 20
_NEW_FILE_MODE = 0o666


class LocalFiles:
    """See FileSystem. Times, modes and owners are the file system's."""

    async def status(self, url: str) -> Status | None:
        return await in_thread(_status, url, _path(url))

    async def children(self, url: str) -> AsyncIterator[Status]:
        def listed() -> list[Status]:
            with reading(url):
                found = sorted(_path(url).iterdir(), key=os.fsencode)
            below = (_status(f"{url.removesuffix('/')}/{path.name}", path) for path in found)
            return [status for status in below if status is not None]

        for status in await in_thread(listed):
            yield status

    async def read(self, url: str, *, offset: int = 0, length_bytes: int | None = None) -> AsyncIterator[bytes]:
        with reading(url):
            file = await in_thread(_path(url).open, "rb")
        left = sys.maxsize if length_bytes is None else length_bytes
        with file:
            await in_thread(file.seek, offset)
            while chunk := await in_thread(file.read, min(READ_CHUNK_BYTES, left)):
                yield chunk
                left -= len(chunk)

    async def write(self, url: str, content: AsyncIterator[bytes]) -> None:
        path = _path(url)
        with writing(url):
            await in_thread(path.parent.mkdir, parents=True, exist_ok=True)
            descriptor, name = await in_thread(tempfile.mkstemp, prefix=".apollo-copy-", dir=path.parent)
            temporary = Path(name)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    async for chunk in content:
                        await in_thread(file.write, chunk)
                await in_thread(temporary.chmod, _NEW_FILE_MODE & ~_umask())
                await in_thread(temporary.rename, path)
            except BaseException:
                await in_thread(temporary.unlink, missing_ok=True)
                raise

    async def make_directory(self, url: str) -> None:
        with writing(url):
            await in_thread(_path(url).mkdir, parents=True, exist_ok=True)

    async def remove(self, url: str) -> None:
        path = _path(url)
        with writing(url):
            await in_thread(_remove, path)


def _path(url: str) -> Path:
    return Path(parse(url).key)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _status(url: str, path: Path) -> Status | None:
    with reading(url):
        try:
            found = path.stat()
        except OSError as error:
            if error.errno in MISSING:
                return None
            raise
    return Status(
        url,
        stat_module.S_ISDIR(found.st_mode),
        found.st_size,
        found.st_mtime_ns // 1_000_000,
        stat_module.S_IMODE(found.st_mode),
        _name(pwd.getpwuid, found.st_uid),
        _name(grp.getgrgid, found.st_gid),
    )


def _name(look_up: Callable[[int], tuple[Any, ...]], number: int) -> str:
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)


def _umask() -> int:
    """There is no way to read it but to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
