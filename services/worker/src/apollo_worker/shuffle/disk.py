"""Files of the shuffle on a disk: the shared volume or the worker's own, and what errors of either mean."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apollo_common.errors import ScratchExceeded, VolumeFull
from apollo_common.storage.file_errors import NO_SPACE
from apollo_common.volumes import Volume, shortage


@dataclass(frozen=True, slots=True)
class Disk:
    """How errors call it, and whether what is written has to survive the machine."""

    name: Volume
    durable: bool


VOLUME = Disk(Volume.INTERMEDIATE, durable=True)
SCRATCH = Disk(Volume.WORKER, durable=False)


class Space:
    """What one attempt keeps on a disk at a time, within its limit. Used by one thread at a time."""

    def __init__(self, disk: Disk, limit_bytes: int = sys.maxsize) -> None:
        self.disk = disk
        self._limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Before so much is written. ScratchExceeded when it would be more than the attempt may keep."""
        if self.used_bytes + size_bytes > self._limit_bytes:
            raise ScratchExceeded(
                f"an attempt needs more than {self._limit_bytes} bytes of {self.disk.name}: "
                "raise APOLLO_SCRATCH_LIMIT_BYTES, or use smaller splits or more reducers"
            )
        self.used_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Once so much is removed."""
        self.used_bytes -= size_bytes


@contextmanager
def disk_errors(disk: Disk) -> Iterator[None]:
    """Makes VolumeFull of an OSError that says that space or quota has run out; others pass."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise VolumeFull(shortage(disk.name), volume=disk.name) from error
        raise


def make_directories(directory: Path, disk: Disk) -> list[Path]:
    """Create `directory` and its missing parents; returns the directories whose entries changed."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    with disk_errors(disk):
        directory.mkdir(parents=True, exist_ok=True)
    return [path.parent for path in missing]


def write_file(path: Path, content: bytes, disk: Disk) -> None:
    """Write a file, forced to a durable disk; its directory's entry is the caller's to sync."""
    with disk_errors(disk), path.open("wb") as file:
        file.write(content)
        file.flush()
        if disk.durable:
            os.fsync(file.fileno())


def sync_directory(directory: Path, disk: Disk) -> None:
    """Force a directory's entries to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with disk_errors(disk):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
