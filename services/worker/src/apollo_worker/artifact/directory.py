"""The private directory of one attempt's program: made before it starts, removed when it has ended."""

import importlib.util
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from apollo_common.errors import TemporaryError, VolumeFull
from apollo_common.owned_directory import OwnedDirectory, remove_tree
from apollo_common.storage.file_errors import NO_SPACE
from apollo_common.volumes import Volume, shortage
from apollo_worker.artifact.context import ArtifactProgram, ShellProgram
from apollo_worker.artifact.socket_home import SOCKETS, socket_home

_EXECUTABLE = 0o755


@dataclass(frozen=True, slots=True)
class ProgramDirectory:
    """Where the program runs (`work`), Python programs import from (`sdk`), frames programs connect (`socket`)."""

    root: Path
    work: Path
    sdk: Path
    socket: Path
    socket_home: OwnedDirectory | None = None  # outside `root`, where paths below that would be too long

    @classmethod
    def make(cls, work_root: Path) -> "ProgramDirectory":
        """An empty directory, for its owner only. VolumeFull or TemporaryError when there cannot be one."""
        try:
            work_root.mkdir(parents=True, exist_ok=True)
            root = Path(tempfile.mkdtemp(prefix="p-", dir=work_root))
        except OSError as error:
            raise _mapped(error, f"make a directory in {work_root}") from error
        home = _socket_home(root)
        return cls(root, root / "work", root / "sdk", (home.path if home else root) / "s", home)

    def fill(self, program: ArtifactProgram | ShellProgram, files: Mapping[str, Path]) -> None:
        """Copy the program and its side files in; blocking. The program may change its copies, never the cache."""
        try:
            self.work.mkdir()
            self.sdk.mkdir()
            (self.sdk / "apollo_sdk").symlink_to(_sdk_package())
            for name, cached in files.items():
                _place(cached, self.work / name)
            if isinstance(program, ArtifactProgram):
                _place(program.path, self.work / program.name)
        except OSError as error:
            raise _mapped(error, f"place the program's files in {self.root}") from error

    def readable(self) -> tuple[Path, ...]:
        """What a program may read of ours beside the directory in which it runs."""
        return (self.sdk, (self.sdk / "apollo_sdk").resolve())

    def remove(self) -> None:
        """Remove all of it, whatever modes the program left; blocking."""
        if self.socket_home is not None:
            self.socket_home.remove()
        remove_tree(self.root)


def _socket_home(root: Path) -> OwnedDirectory | None:
    try:
        return socket_home(root / "s")
    except OSError as error:
        root.rmdir()
        raise _mapped(error, f"make a directory for the program's socket in {SOCKETS}") from error


def _mapped(error: OSError, what: str) -> VolumeFull | TemporaryError:
    if error.errno in NO_SPACE:
        return VolumeFull(f"the worker cannot {what}: {shortage(Volume.WORKER)}", volume=Volume.WORKER)
    return TemporaryError(f"the worker cannot {what}: {error.strerror}")


def _place(cached: Path, target: Path) -> None:
    shutil.copyfile(cached, target)
    target.chmod(_EXECUTABLE)


def _sdk_package() -> Path:
    spec = importlib.util.find_spec("apollo_sdk")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(2, "the package apollo-sdk is not installed beside the worker")
    return Path(spec.origin).parent
