"""An unpatched mrjob in an environment of its own, from the lock of the benchmarks; kept by that lock's digest."""

import hashlib
import subprocess
import sys
from pathlib import Path

from support.apollo_cli import REPOSITORY
from support.cluster.places import cache_directory

_LOCK = REPOSITORY / "requirements/mrjob.txt"


def ensure_mrjob() -> Path:
    """Its interpreter; installed when it is not there yet."""
    key = hashlib.sha256(_LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    home = cache_directory() / f"mrjob-{key}"
    stamp = home / "installed"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        install = [home / "bin/python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", _LOCK]
        subprocess.run([*map(str, install)], check=True)
        stamp.touch()
    return home / "bin/python"
