"""Durable files on the intermediate volume, and what its errors mean."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apollo_common.errors import VolumeFull
from apollo_common.storage.file_errors import NO_SPACE


@contextmanager
def volume_errors() -> Iterator[None]:
    """Makes VolumeFull of an OSError that says that space or quota has run out; others pass."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise VolumeFull(
                f"the intermediate volume is full ({os.strerror(error.errno or 0)}); free space on it or enlarge it"
            ) from error
        raise


def make_directories(directory: Path) -> list[Path]:
    """Create `directory` and its missing parents; returns the directories whose entries changed."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    with volume_errors():
        directory.mkdir(parents=True, exist_ok=True)
    return [path.parent for path in missing]


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and force it to the volume; its directory's entry is the caller's to sync."""
    with volume_errors(), path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Force a directory's entries to the volume."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with volume_errors():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
