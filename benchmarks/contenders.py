"""What takes part in a benchmark: a command from an input file to an output, by Apollo or by one of its peers."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
BENCH = REPOSITORY / ".bench"
PROGRAMS = REPOSITORY / "benchmarks/programs"
WORKERS = 2  # processors, for everybody
VERSION_SECONDS = 30


class NotAvailable(Exception):
    """A contender cannot take part on this machine; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Contender:
    """`command` gets the input, where the output goes, and a file for `times_itself`.

    The output is one file, or a folder whose files `part-*` are the output in the order of their names.
    """

    name: str
    version: str
    command: Callable[[Path, Path, Path], list[str]]
    environment: Mapping[str, str] | None = None  # None: this process's
    times_itself: bool = False  # the command writes the seconds of its job, without its own start, into that file


Preparation = Callable[[], Contender]
"""Gets a contender ready, which may compile or install something. NotAvailable."""


def program(name: str) -> str:
    """The path of a command. NotAvailable."""
    found = shutil.which(name)
    if found is None:
        raise NotAvailable(f"there is no {name}")
    return found


def first_line(*command: str) -> str:
    """What a command says of its version; java writes it to standard error. NotAvailable."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAvailable(f"{command[0]} does not tell its version: {error}") from None
    return next(iter((done.stdout or done.stderr).splitlines()), "")


def environment_of(lock: str) -> Path:
    """The interpreter of a virtual environment from requirements/LOCK.txt, made once. NotAvailable."""
    requirements = REPOSITORY / f"requirements/{lock}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:16]
    home = BENCH / f"{lock}-{digest}"
    stamp = home / "installed"
    if not stamp.exists():
        install = [home / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                   "--require-hashes", "--requirement", requirements]  # fmt: skip
        for step in ([sys.executable, "-m", "venv", "--clear", home], install):
            done = subprocess.run([*map(str, step)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise NotAvailable(f"{lock} cannot be installed: {' '.join(done.stderr.split())[-200:]}")
        stamp.touch()
    return home / "bin/python"


def locked_version(lock: str, package: str) -> str:
    """What requirements/LOCK.txt pins `package` to."""
    lines = (REPOSITORY / f"requirements/{lock}.txt").read_text().splitlines()
    return next(line.split("==")[1].split()[0] for line in lines if line.startswith(f"{package}=="))
