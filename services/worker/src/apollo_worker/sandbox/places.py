"""The paths that every program may read: the system's own, and where its interpreters are installed."""

import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

# Of /etc only what programs look up: an operator mounts keys and tokens below it.
SYSTEM: Final = (
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr", "/opt", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload", "/etc/alternatives"),
    *("/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/os-release", "/etc/debian_version"),
    *("/etc/localtime", "/etc/timezone", "/etc/locale.alias", "/etc/locale.conf", "/etc/default/locale"),
    *("/etc/hostname", "/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf", "/run/systemd/resolve"),
    *("/etc/services", "/etc/protocols", "/etc/mime.types", "/etc/magic", "/etc/terminfo", "/etc/fonts"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ssl/cert.pem", "/etc/pki/tls/certs", "/etc/pki/ca-trust"),
    *("/etc/python3*", "/etc/perl", "/etc/java-*", "/etc/R", "/etc/php", "/etc/bash.bashrc", "/etc/profile"),
    *("/proc", "/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/fs/cgroup"),
    "/sys/kernel/mm/transparent_hugepage",
)
"""Patterns; others' processes in /proc show their state, not their memory, environment or files."""

DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

_PROGRAM_DIRECTORIES: Final = ("bin", "sbin")
_BESIDE_THEM: Final = ("lib", "lib64", "libexec", "pyvenv.cfg")


def system_places() -> tuple[str, ...]:
    """Of this machine, and the places of the worker's own interpreter and of the directories on its PATH."""
    on_path = (
        Path(directory) for directory in os.environ.get("PATH", "").split(os.pathsep) if directory.startswith("/")
    )
    found = [
        *expanded(SYSTEM),
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
        *installation(Path(sys.executable)),
        *(place for directory in on_path for place in _beside(directory)),
    ]
    return tuple(_topmost(place for place in dict.fromkeys(found) if Path(place).exists()))


def _topmost(places: Iterable[str]) -> Iterator[str]:
    """Without those that are beneath one before them."""
    kept: list[str] = []
    for place in places:
        if not any(place.startswith(f"{above}/") for above in kept):
            kept.append(place)
            yield place


def expanded(patterns: Iterable[str]) -> Iterator[str]:
    """Absolute paths, and those that exist now of absolute ones with `*`."""
    for pattern in patterns:
        if "*" in pattern:
            yield from map(str, sorted(Path("/").glob(pattern.removeprefix("/"))))
        else:
            yield pattern


def installation(executable: Path) -> Iterator[str]:
    """What an interpreter reads of where it is installed, or linked to: `PREFIX/bin`, `PREFIX/lib` and the like.

    Never all of PREFIX, which may be a home directory.
    """
    for path in (executable, executable.resolve()):
        if path.parent.name in _PROGRAM_DIRECTORIES:
            yield from _beside(path.parent)
        else:
            yield str(path)


def _beside(directory: Path) -> Iterator[str]:
    yield str(directory)
    if directory.name in _PROGRAM_DIRECTORIES:
        yield from (str(directory.parent / name) for name in _BESIDE_THEM)
