"""Programs out of a Debian package that is taken apart, not installed: no service of it starts."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from support.cluster.packages import CannotInstall
from support.cluster.places import cache_directory


def ensure_programs(package: str, programs: Sequence[str]) -> Path:
    """The directory that holds the programs: the machine's own, or the cache's. CannotInstall without either."""
    found = shutil.which(programs[0])
    if found is not None and all(shutil.which(program) for program in programs):
        return Path(found).parent
    target = cache_directory() / "bin" / package
    if not target.is_dir():
        _take_apart(package, programs, target)
    return target


def _take_apart(package: str, programs: Sequence[str], target: Path) -> None:
    if shutil.which("apt-get") is None:
        raise CannotInstall(f"install what provides {' and '.join(programs)}: {package} in Debian")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{package}-", dir=target.parent) as directory:
        folder = Path(directory)
        archive = _download(package, folder)
        subprocess.run(["dpkg-deb", "--extract", archive, folder / "tree"], check=True)
        unfinished = folder / "programs"
        unfinished.mkdir()
        for program in programs:
            shutil.move(folder / "tree/usr/bin" / program, unfinished / program)
        if not target.is_dir():  # another process may have been faster
            unfinished.rename(target)


def _download(package: str, folder: Path) -> Path:
    """The .deb; the lists of packages are fetched first where there are none, or too old ones."""
    commands = (["apt-get", "download", package], ["apt-get", "update"], ["apt-get", "download", package])
    said = ""
    for command in commands:
        # As root, not as apt's own user, who may not write here.
        quiet = [command[0], "-qq", "-o", "APT::Sandbox::User=root", *command[1:]]
        done = subprocess.run(quiet, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)
        said += done.stderr
        if archives := list(folder.glob("*.deb")):
            return archives[0]
    raise CannotInstall(f"Debian's package {package} cannot be had: {said.strip()[-500:]}")
