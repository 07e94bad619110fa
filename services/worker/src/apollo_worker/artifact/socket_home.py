"""A directory for a program's socket where its own directory's path is too long for one."""

import os
from pathlib import Path
from typing import Final

from apollo_common.owned_directory import OwnedDirectory, orphans

PATH_LIMIT_BYTES: Final = 100  # sun_path holds 108, and programs use other languages' smaller limits
SOCKETS: Final = Path("/tmp")  # noqa: S108  # short, whatever TMPDIR says; OwnedDirectory makes it private
_PREFIX: Final = "apollo-socket-"


def socket_home(socket_path: Path) -> OwnedDirectory | None:
    """A new one, unless the path is short enough. OSError."""
    return None if len(os.fsencode(socket_path)) < PATH_LIMIT_BYTES else OwnedDirectory.new(SOCKETS, _PREFIX)


def sweep_socket_homes() -> None:
    """Remove what workers that were killed have left; blocking."""
    for orphan in orphans(SOCKETS, _PREFIX):
        orphan.remove()
