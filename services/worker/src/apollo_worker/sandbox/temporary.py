"""Directories that are the programs' alone, such as a pod's own `/tmp` and `/dev/shm`: written by them, emptied by us.

The C library has these two names built in, TMPDIR or not: tmpfile(3), sem_open(3), shm_open(3).
"""

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from apollo_common.errors import InvalidSetting
from apollo_common.owned_directory import remove_tree

MARK: Final = ".apollo-worker"


class TemporaryPlace:
    """One such directory, of one worker.

    The worker's lock is on the directory itself, where no program can remove it. The mark in it outlives a worker that
    is killed, and tells the next one that what else is there may go.
    """

    def __init__(self, path: Path, lock: int) -> None:
        """Use `claim`."""
        self.path = path
        self._mark = path / MARK
        self._lock = lock

    @classmethod
    def claim(cls, directory: str) -> Self:
        """Lock, empty and mark it; blocking.

        InvalidSetting unless it is there, without a living worker, and empty or marked: nobody else's files may be
        where all files are removed.
        """
        try:
            place = cls(Path(directory), _lock(directory))
        except BlockingIOError:
            raise InvalidSetting(
                f"APOLLO_SANDBOX_TEMPORARY: {directory} belongs to another worker that still runs"
            ) from None
        except OSError as error:
            raise InvalidSetting(f"APOLLO_SANDBOX_TEMPORARY: {directory} cannot be read: {error.strerror}") from None
        try:
            place._take()
        except BaseException:
            os.close(place._lock)
            raise
        return place

    def empty(self) -> None:
        """Remove what programs left; blocking. No link of their making is followed. OSError unless all is gone."""
        _open_to_owner(self.path)
        for entry in self._others():
            remove_tree(entry)
        if self._others():
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(self.path))
        # Made anew: a program may have written into it, or put something else in its place.
        remove_tree(self._mark)
        self._mark.touch(mode=0o600, exist_ok=False)

    def release(self) -> None:
        """Take mark and lock away; blocking."""
        with suppress(OSError):
            self._mark.unlink()
        os.close(self._lock)

    def _take(self) -> None:
        try:
            others = self._others()
            if others and not self._is_marked():
                raise InvalidSetting(
                    f"APOLLO_SANDBOX_TEMPORARY: {self.path} holds `{others[0].name}`, but what it names is emptied "
                    "after every attempt: give the worker a volume of its own there"
                )
            self.empty()
        except OSError as error:
            raise InvalidSetting(
                f"APOLLO_SANDBOX_TEMPORARY: {self.path} cannot be emptied and written: {error.strerror}"
            ) from None

    def _others(self) -> list[Path]:
        """What is in it besides the mark."""
        return sorted(path for path in self.path.iterdir() if path.name != MARK)

    def _is_marked(self) -> bool:
        """By a worker of this user."""
        try:
            found = self._mark.lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid()


def _lock(directory: str) -> int:
    """BlockingIOError when another process has it; OSError."""
    _open_to_owner(Path(directory))
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open_to_owner(path: Path) -> None:
    """A program may have closed a directory that belongs to its user."""
    with suppress(OSError):  # another user's, whose mode no program can change
        path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IRWXU)
