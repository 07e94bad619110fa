"""A merge's own directory on the worker's disk, and what it keeps there."""

import shutil
import sys
import tempfile
from pathlib import Path

from apollo_common.errors import VolumeFull
from apollo_worker.room import tell_of_room
from apollo_worker.shuffle.disk import SCRATCH, Space, disk_errors

_BLOCK_BYTES = 512  # of what stat counts


class Scratch:
    """Made when it is first needed; blocking. Who writes a file there takes its size of `space` first."""

    def __init__(self, parent: Path | None, limit_bytes: int = sys.maxsize) -> None:
        """`parent` is made too; None: the system's temporary directory."""
        self._parent = parent
        self._directory: Path | None = None
        self.space = Space(SCRATCH, limit_bytes)

    def directory(self) -> Path:
        """VolumeFull."""
        if self._directory is None:
            with disk_errors(SCRATCH):
                if self._parent is not None:
                    self._parent.mkdir(parents=True, exist_ok=True)
                self._directory = Path(tempfile.mkdtemp(prefix="merge-", dir=self._parent))
        return self._directory

    def holds(self, path: Path) -> bool:
        """Whether it is one of the files here."""
        return path.parent == self._directory

    def free(self, path: Path) -> None:
        """Remove a file that is whole."""
        size_bytes = path.stat().st_size
        path.unlink()
        self.space.give_back(size_bytes)

    def tell_of_room(self, error: VolumeFull, partition_bytes: int) -> None:
        """Say how much is missing: a pass of the merge keeps up to the partition here, and the next one writes it anew.

        `partition_bytes`: 0 while a store has not brought it here, which takes of `space` what it needs.
        """
        if self._directory is None:
            return
        kept_bytes = sum(path.stat().st_blocks * _BLOCK_BYTES for path in self._directory.iterdir())
        needed_bytes = max(partition_bytes, self.space.used_bytes)
        if partition_bytes and kept_bytes > partition_bytes:
            needed_bytes = 2 * partition_bytes
        tell_of_room(error, needed_bytes, kept_bytes, self._directory)

    def remove(self) -> None:
        """With all that is in it."""
        if self._directory is not None:
            shutil.rmtree(self._directory)
