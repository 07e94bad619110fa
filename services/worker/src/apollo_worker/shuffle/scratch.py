"""A merge's own directory on the worker's disk."""

import shutil
import tempfile
from pathlib import Path

from apollo_worker.shuffle.disk import SCRATCH, disk_errors


class Scratch:
    """Made when it is first needed; blocking."""

    def __init__(self, parent: Path | None) -> None:
        """`parent` is made too; None: the system's temporary directory."""
        self._parent = parent
        self._directory: Path | None = None

    def directory(self) -> Path:
        """VolumeFull."""
        if self._directory is None:
            with disk_errors(SCRATCH):
                if self._parent is not None:
                    self._parent.mkdir(parents=True, exist_ok=True)
                self._directory = Path(tempfile.mkdtemp(prefix="merge-", dir=self._parent))
        return self._directory

    def remove(self) -> None:
        """With all that is in it."""
        if self._directory is not None:
            shutil.rmtree(self._directory)
