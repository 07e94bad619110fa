"""Small file operations that the standard library leaves to the caller."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COPY_CHUNK_BYTES = 1 << 20


def write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def copy_within(descriptor: int, source: int, target: int, length_bytes: int) -> None:
    """Copy a range within one file; the ranges do not overlap, or the target lies before the source."""
    for offset in range(0, length_bytes, COPY_CHUNK_BYTES):
        chunk = os.pread(descriptor, min(COPY_CHUNK_BYTES, length_bytes - offset), source + offset)
        os.pwrite(descriptor, chunk, target + offset)


def fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def inode(path: Path) -> int | None:
    """The number that stays with a file when it is renamed; None when there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """The file, made if need be, open and locked; another holder may rename or remove it before we get it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if inode(path) == os.fstat(descriptor).st_ino:
                yield descriptor
                return
        finally:
            os.close(descriptor)
