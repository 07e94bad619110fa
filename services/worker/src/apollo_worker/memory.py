"""How much memory this worker may use, and that it gives back what it no longer uses."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from apollo_worker.core.budget import MemoryLimit

_MALLOPT = {  # parameters of mallopt(3) by their numbers in glibc's malloc.h
    -3: 2 << 20,  # M_MMAP_THRESHOLD: larger blocks go back to the system when freed. Also stops glibc from raising it
    -1: 32 << 20,  # M_TRIM_THRESHOLD: as much free memory at the top of the heap is kept for the next batches
    -8: 2,  # M_ARENA_MAX: otherwise each thread that ever worked keeps a heap of its own
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
    limit_bytes = min(_cgroup_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")), default=physical_bytes)
    return MemoryLimit(min(limit_bytes, physical_bytes) // sharers, of_cgroup=limit_bytes < physical_bytes)


def _cgroup_limits(membership: Path, mount: Path) -> Iterator[int]:
    """The limits of a process's memory cgroup and of those above it, as far as they can be seen."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:  # hierarchy:controllers:path, see cgroups(7)
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = mount, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = mount / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / path.lstrip("/")
        for directory in (group, *group.parents):
            with suppress(OSError):  # a container sees its own group as the root, whatever the path says
                text = (directory / name).read_text().strip()
                if text.isdigit():  # v2 says "max" for none; v1 a number beyond any machine
                    yield int(text)
            if directory == root:
                break
