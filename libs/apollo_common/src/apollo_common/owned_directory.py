"""Directories that belong to one process: locked as long as it lives, however it ends, and swept by others after it."""

import fcntl
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from apollo_common.errors import DirectoryInUse

_OWNER = "owner"  # the file that is locked
_DOOMED = "doomed-"
# A sweeper holds the lock of a directory until it has renamed it: microseconds.
_CLAIM_TRIES = 10
_CLAIM_PAUSE_SECONDS = 0.05
# A process that is killed between making a directory and its lock file leaves the one without the other.
_UNLOCKED_SECONDS = 60


class OwnedDirectory:
    """A directory whose lock this process holds until `remove`, or its own end."""

    def __init__(self, path: Path, lock: int) -> None:
        """Use `new`, `claim` or `orphans`."""
        self.path = path
        self._lock = lock

    @classmethod
    def new(cls, parent: Path, prefix: str) -> "OwnedDirectory":
        """An empty directory with a random name, for its owner only. OSError."""
        while True:
            path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            lock = _lock(path, os.O_CREAT)
            if lock is not None:  # else a sweeper has it, by a clock that jumped
                return cls(path, lock)

    @classmethod
    def claim(cls, path: Path) -> "OwnedDirectory":
        """The directory of that name, made if need be, with whatever a process before left in it.

        DirectoryInUse when a living process has it; OSError.
        """
        for _ in range(_CLAIM_TRIES):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # a sweeper has just renamed it
                lock = _lock(path, os.O_CREAT)
                if lock is not None:
                    return cls(path, lock)
            time.sleep(_CLAIM_PAUSE_SECONDS)
        raise DirectoryInUse(f"{path} belongs to another process that still runs")

    def remove(self) -> None:
        """Remove the directory and give up the lock; its name is free at once. What cannot be removed stays."""
        doomed = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        try:
            self.path.rename(doomed)
        except OSError:
            doomed = self.path
        remove_tree(doomed, last=_OWNER)
        os.close(self._lock)


def orphans(parent: Path, prefix: str = "") -> Iterator[OwnedDirectory]:
    """The directories of processes that have ended without removing them, each locked for the caller, who removes it.

    Without a prefix, directories that hold no lock file are nobody's of ours, and are left alone.
    """
    for path in sorted(parent.glob(f"{prefix}*")):
        lock = None
        with suppress(OSError):  # just gone, or not ours
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
                is_old = found.st_mtime < time.time() - _UNLOCKED_SECONDS
                lock = _lock(path, os.O_CREAT if prefix and is_old else 0)
        if lock is not None:
            yield OwnedDirectory(path, lock)


def is_owned(path: Path) -> bool:
    """Whether a living process holds the directory."""
    try:
        lock = _lock(path, 0)
    except OSError:
        return False
    if lock is None:
        return True
    os.close(lock)
    return False


def remove_tree(root: Path, *, last: str = "") -> None:
    """Remove a directory, whatever a program left below it, as far as can be. The entry `last` goes last.

    Every directory below is first moved up into `root`: so no depth is too deep for a stack, a path or a table of open
    files. No link is followed; what is no directory is only unlinked.
    """
    if not _is_directory(root):
        _unlink(root)
        return
    with suppress(OSError):
        root.chmod(0o700)
    pending = _emptied(root, root, last)
    while pending:
        directory = pending.pop()
        pending += _emptied(directory, root, "")
        with suppress(OSError):
            directory.rmdir()
    if last:
        _unlink(root / last)
    with suppress(OSError):
        root.rmdir()


def _emptied(directory: Path, root: Path, spared: str) -> list[Path]:
    """Remove what is in it but `spared`; returns where the directories that were in it are now."""
    moved: list[Path] = []
    if not _is_directory(directory):  # a link took its place while it was moved
        _unlink(directory)
        return moved
    with suppress(OSError):
        for path in list(directory.iterdir()):
            if _is_directory(path):
                with suppress(OSError):
                    path.chmod(0o700)
                    moved.append(path.rename(root / f"{_DOOMED}{secrets.token_hex(8)}"))
            elif path.name != spared:
                _unlink(path)
    return moved


def _is_directory(path: Path) -> bool:
    """And no link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _unlink(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _lock(directory: Path, flags: int) -> int | None:
    """The locked descriptor of a directory's lock file; None when another process has it. OSError."""
    path = directory / _OWNER
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):  # else it was renamed meanwhile
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None
