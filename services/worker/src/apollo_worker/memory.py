"""How much memory this worker may use, and that it gives back what it no longer uses."""

import ctypes
import os
from pathlib import Path

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
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


def memory_limit_bytes() -> int:
    """The container's limit (cgroup v2, then v1), or the machine's memory where there is none below it."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # v2 says "max" for none; v1 a number beyond any machine
            return min(int(text), physical)
    return physical
