"""How long a worker lives: as long as its parent, or until its coordinator has been silent for too long."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_PR_SET_DUMPABLE: Final = 4
_PARENT_CHECK_SECONDS: Final = 1.0
_ORPHAN_CHECK_SECONDS: Final = 1.0


def bind_to_parent(parent_pid: int) -> bool:
    """Ask for SIGTERM when the parent dies, even by SIGKILL. False when it was gone before the asking."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent_pid


def hide_memory() -> None:
    """Close /proc/PID/environ, mem and ptrace to programs of the same user: credentials pass through here."""
    _prctl(_PR_SET_DUMPABLE, 0)


async def parent_gone(parent_pid: int) -> None:
    """Return once the parent is another one; the second line behind the signal."""
    while os.getppid() == parent_pid:  # noqa: ASYNC110 - the kernel sets no event
        await asyncio.sleep(_PARENT_CHECK_SECONDS)


async def orphaned(last_call_seconds: Callable[[], float], deadline_seconds: float) -> None:
    """Return once nobody has called for `deadline_seconds`; coordinators describe their workers every few seconds."""
    clock = asyncio.get_running_loop().time
    while clock() - last_call_seconds() < deadline_seconds:  # noqa: ASYNC110 - time passes without an event
        await asyncio.sleep(min(_ORPHAN_CHECK_SECONDS, deadline_seconds))


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
