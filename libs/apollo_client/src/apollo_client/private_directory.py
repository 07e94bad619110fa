"""The directory of one `apollo run` or `replay`: its own while it lives, and swept by the next one if it was killed."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from apollo_client.errors import LocalModeFailed
from apollo_common.owned_directory import OwnedDirectory, orphans

PREFIX = "apollo-run-"
REPLAY_PREFIX = "apollo-replay-"
# sockaddr_un holds 107 bytes; attempts put sockets of their own further down.
MAX_SOCKET_PATH_BYTES = 100


def new_private_directory(prefix: str = PREFIX) -> OwnedDirectory:
    """LocalModeFailed, OSError."""
    return OwnedDirectory.new(_parent(), prefix)


def abandoned_directories(prefix: str = PREFIX) -> Iterator[OwnedDirectory]:
    """Those of commands that were killed; the caller removes them."""
    return orphans(_parent(), prefix)


def _parent() -> Path:
    """Where map outputs go too, so not on a /tmp that may be memory, unless TMPDIR says so."""
    for parent in (os.environ.get("TMPDIR"), "/var/tmp", tempfile.gettempdir()):  # noqa: S108  # mkdtemp makes it private
        if parent and os.access(parent, os.W_OK) and len(os.fsencode(parent)) < MAX_SOCKET_PATH_BYTES - 40:
            return Path(parent)
    raise LocalModeFailed("There is no directory for temporary files; name one in TMPDIR, at most 60 bytes long.")
