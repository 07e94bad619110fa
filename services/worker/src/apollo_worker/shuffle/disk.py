"""Files of the shuffle on a disk: the shared volume or the worker's own, and what errors of either mean."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apollo_common.errors import ScratchExceeded, VolumeFull
from apollo_common.storage.file_errors import NO_SPACE


@dataclass(frozen=True, slots=True)
class Disk:
    """How errors call it, whether what is written has to survive the machine, how large one attempt's files may be."""

    name: str
    durable: bool
    limit_bytes: int = sys.maxsize

    def check(self, size_bytes: int) -> None:
        """ScratchExceeded when an attempt would keep more."""
        if size_bytes > self.limit_bytes:
            raise ScratchExceeded(
                f"an attempt needs more than {self.limit_bytes} bytes of {self.name}: "
                "raise APOLLO_SCRATCH_LIMIT_BYTES, or use smaller splits or more reducers"
            )


VOLUME = Disk("the intermediate volume", durable=True)
SCRATCH = Disk("the worker's scratch disk", durable=False)


@contextmanager
def disk_errors(disk: Disk) -> Iterator[None]:
    """Makes VolumeFull of an OSError that says that space or quota has run out; others pass."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise VolumeFull(
                f"{disk.name} is full ({os.strerror(error.errno or 0)}); free space on it or enlarge it"
            ) from error
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
