"""Room on the coordinator's own volume: facts come first, and some is kept for the coordinator's next start."""

import os
from pathlib import Path

from apollo_common.errors import VolumeFull
from apollo_common.volumes import Volume, shortage

MIN_FREE_BYTES = 1 << 20
"""Below it no job, upload, log or bad record is taken, so that jobs which run can still be journaled."""

RESERVE_BYTES = 1 << 20
START_BYTES = 128 << 10  # what opening a journal may write

_RESERVE = "reserve"


def free_bytes(directory: Path) -> int:
    volume = os.statvfs(directory)
    return volume.f_bavail * volume.f_frsize


def has_room(directory: Path, for_bytes: int = 0) -> bool:
    """Whether there is enough left for facts, beside what `for_bytes` are to be written for."""
    return free_bytes(directory) - for_bytes >= MIN_FREE_BYTES


def coordinator_full() -> VolumeFull:
    """The error that says so."""
    return VolumeFull(
        shortage(Volume.COORDINATOR, MIN_FREE_BYTES), volume=Volume.COORDINATOR, needed_bytes=MIN_FREE_BYTES
    )


class Reserve:
    """A file that keeps room free, for a coordinator that has to start while its volume is full. Blocking."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / _RESERVE
        self.whole = False  # as far as this process has seen

    def give_back(self) -> None:
        """Make its room free. VolumeFull when there is not enough for a start even so."""
        self._path.unlink(missing_ok=True)
        self.whole = False
        if free_bytes(self._directory) < START_BYTES:
            raise coordinator_full()

    def keep(self) -> None:
        """Take room again: at most half of what is free, so that facts have the rest. Not while there is too little."""
        size_bytes = min(RESERVE_BYTES, free_bytes(self._directory) // 2)
        if size_bytes < START_BYTES:
            return
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # a quota, or no inode is left
            return
        try:
            os.posix_fallocate(file, 0, size_bytes)
            self.whole = size_bytes == RESERVE_BYTES
        except OSError:
            self._path.unlink()
        finally:
            os.close(file)
