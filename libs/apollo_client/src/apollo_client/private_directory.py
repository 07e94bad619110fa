"""The directory of one `apollo run`: its own while it lives, and swept by the next one if it was killed."""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apollo_client.errors import LocalModeFailed

PREFIX = "apollo-run-"
# sockaddr_un holds 107 bytes; attempts put sockets of their own further down.
MAX_SOCKET_PATH_BYTES = 100
# Between making a directory and locking it lie microseconds.
SWEEP_AFTER_SECONDS = 60

_OWNER = "owner"  # locked as long as the process lives, however it ends


@contextmanager
def private_directory() -> Iterator[Path]:
    """A new directory that goes at the end of the block; those of killed processes go first. LocalModeFailed."""
    parent = _parent()
    _sweep(parent)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    owner = os.open(directory / _OWNER, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(owner)


def _parent() -> Path:
    """Where map outputs go too, so not on a /tmp that may be memory, unless TMPDIR says so."""
    for parent in (os.environ.get("TMPDIR"), "/var/tmp", tempfile.gettempdir()):  # noqa: S108  # mkdtemp makes it private
        if parent and os.access(parent, os.W_OK) and len(os.fsencode(parent)) < MAX_SOCKET_PATH_BYTES - 40:
            return Path(parent)
    raise LocalModeFailed("There is no directory for temporary files; name one in TMPDIR, at most 60 bytes long.")


def _sweep(parent: Path) -> None:
    for directory in parent.glob(f"{PREFIX}*"):
        try:
            found = directory.lstat()
            is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if is_ours and found.st_mtime < time.time() - SWEEP_AFTER_SECONDS and _is_orphan(directory):
                shutil.rmtree(directory, ignore_errors=True)
        except OSError:  # just gone
            continue


def _is_orphan(directory: Path) -> bool:
    owner = os.open(directory / _OWNER, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(owner)
    return True
