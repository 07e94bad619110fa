"""Directories that are the programs' alone, such as a pod's own `/tmp` and `/dev/shm`: written by them, emptied by us.

The C library has these two names built in, TMPDIR or not: tmpfile(3), sem_open(3), shm_open(3).
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from apollo_common.errors import InvalidSetting
from apollo_common.owned_directory import remove_tree


def check_temporary(directories: Iterable[str]) -> None:
    """InvalidSetting unless each is there and empty: nobody else's files may be where all files are removed."""
    for directory in directories:
        try:
            others = sorted(path.name for path in Path(directory).iterdir())
        except OSError as error:
            raise InvalidSetting(f"APOLLO_SANDBOX_TEMPORARY: {directory} cannot be read: {error.strerror}") from None
        if others:
            raise InvalidSetting(
                f"APOLLO_SANDBOX_TEMPORARY: {directory} holds `{others[0]}`, but what it names is emptied after every "
                "attempt: give the worker a volume of its own there"
            )


def empty(directories: Iterable[str]) -> None:
    """Remove what programs left, as far as can be; blocking. No link of their making is followed."""
    for directory in directories:
        with suppress(OSError):
            for entry in list(Path(directory).iterdir()):
                remove_tree(entry)
