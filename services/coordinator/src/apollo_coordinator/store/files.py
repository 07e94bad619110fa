"""Writing files so that a crash leaves either the old content or the new one."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apollo_common.storage.file_errors import NO_SPACE
from apollo_common.storage.files import fsync_directory, write_all
from apollo_coordinator.store.room import coordinator_full


@contextmanager
def volume_errors() -> Iterator[None]:
    """Map a full volume to VolumeFull."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise coordinator_full() from error
        raise


def write_atomically(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a small file durably; its directory must exist. VolumeFull."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with volume_errors():
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            try:
                write_all(descriptor, content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(path)
            fsync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(directory: Path) -> None:
    """Remove what `write_atomically` was writing when the process was killed."""
    for path in directory.glob(".*.tmp"):
        path.unlink(missing_ok=True)
