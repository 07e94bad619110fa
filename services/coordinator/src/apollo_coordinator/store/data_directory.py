"""Takes a directory for the coordinator's data, unless somebody else's files lie where it would sweep as its own."""

import os
from pathlib import Path

from apollo_common.errors import PermanentError
from apollo_coordinator.store.journal import JOURNAL_FILE, LOCK_FILE

SWEPT = ("artifacts", "bad-records", "logs", "secrets", "workers", "worker-logs")
"""What the coordinator keeps below its data directory, and removes there when no job needs it any more."""


class DataDirectoryForeign(PermanentError):
    """The data directory holds what another program has put there."""

    reason = "data_directory_foreign"


def take(directory: Path) -> None:
    """Make the directory if need be. DataDirectoryForeign, with nothing changed; OSError. Blocks."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any((directory / name).exists() for name in (LOCK_FILE, JOURNAL_FILE)):  # a coordinator has been here
        return
    for place in (directory / name for name in SWEPT):
        if os.path.lexists(place) and not _is_empty_directory(place):
            raise DataDirectoryForeign(
                f"{place} is not of a coordinator, which would clean up there: "
                "name a data directory that is empty or does not exist yet"
            )


def _is_empty_directory(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
