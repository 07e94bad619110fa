"""How much memory this worker may use, what it has used, and that it gives back what it no longer uses."""

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from apollo_worker.core.budget import MemoryLimit

_MEMBERSHIP: Final = Path("/proc/self/cgroup")
_MOUNT: Final = Path("/sys/fs/cgroup")
_MALLOPT = {  # parameters of mallopt(3) by their numbers in glibc's malloc.h
    -3: 2 << 20,  # M_MMAP_THRESHOLD: larger blocks go back to the system when freed. Also stops glibc from raising it
    -1: 32 << 20,  # M_TRIM_THRESHOLD: as much free memory at the top of the heap is kept for the next batches
    -8: 1,  # M_ARENA_MAX: otherwise each thread that ever worked keeps a heap of its own, with as much free memory
}


def return_memory_early() -> None:
    """Set glibc's allocator so that freed batches count against no later one; does nothing on other C libraries."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)


def memory_limit(sharers: int = 1) -> MemoryLimit:
    """One of so many workers' part of the least limit of its cgroups (v2, or v1), or of the machine's memory."""
    physical_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit_bytes = min(_cgroup_limits(_MEMBERSHIP, _MOUNT), default=physical_bytes)
    return MemoryLimit(min(limit_bytes, physical_bytes) // sharers, of_cgroup=limit_bytes < physical_bytes)


class MemoryMeter:
    """What the kernel has counted for the worker's cgroup, its programs included. Reads small files: blocking."""

    def __init__(self, membership: Path = _MEMBERSHIP, mount: Path = _MOUNT) -> None:
        groups = list(_cgroups(membership, mount))
        self._peaks = [group.directory / group.version.peak for group in groups]
        self._events = [group.directory / group.version.events for group in groups]

    def peak_bytes(self) -> int:
        """The most that was ever used at once, also for files that the kernel keeps in memory; 0: not known."""
        return next((int(text) for text in _readable(self._peaks) if text.isdigit()), 0)

    def kills(self) -> int:
        """How many processes the kernel has killed for want of memory."""
        for text in _readable(self._events):
            for line in text.splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
        return 0


class _Version(NamedTuple):
    """What the files of a version of cgroups are called: https://docs.kernel.org/admin-guide/cgroup-v2.html, -v1/."""

    limit: str
    peak: str
    events: str


_V1: Final = _Version("memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control")
_V2: Final = _Version("memory.max", "memory.peak", "memory.events")


class _Group(NamedTuple):
    directory: Path
    version: _Version


def _cgroup_limits(membership: Path, mount: Path) -> Iterator[int]:
    """The limits of a process's memory cgroup and of those above it, as far as they can be seen."""
    for group in _cgroups(membership, mount):
        for text in _readable([group.directory / group.version.limit]):
            if text.isdigit():  # v2 says "max" for none; v1 a number beyond any machine
                yield int(text)


def _cgroups(membership: Path, mount: Path) -> Iterator[_Group]:
    """The memory cgroup of a process and those above it. Not each is to be seen."""
    for text in _readable([membership]):
        for line in text.splitlines():  # hierarchy:controllers:path, see cgroups(7)
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                root, version = mount, _V2
            elif "memory" in controllers.split(","):
                root, version = mount / "memory", _V1
            else:
                continue
            group = root / path.lstrip("/")
            for directory in (group, *group.parents):
                yield _Group(directory, version)
                if directory == root:
                    break


def _readable(files: Iterable[Path]) -> Iterator[str]:
    """The contents of those that can be read: a container sees its own group as the root, whatever the path says."""
    for file in files:
        with suppress(OSError):
            yield file.read_text().strip()
