"""A kernel that has no Landlock, as those that were built or started without it."""

import ctypes
import errno
import struct
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_LANDLOCK_CREATE_RULESET = 444
_INSTRUCTIONS = (  # struct sock_filter: the system call's number; one of them fails, all others are allowed
    (0x20, 0, 0, 0),
    (0x15, 0, 1, _LANDLOCK_CREATE_RULESET),
    (0x06, 0, 0, 0x00050000 | errno.ENOSYS),
    (0x06, 0, 0, 0x7FFF0000),
)


@pytest.fixture
def kernel_without_landlock() -> Callable[[Callable[[], Any]], Any]:
    """Calls a function where, by a filter of the calling thread, there is no Landlock; processes inherit that."""
    return _without_landlock


def _without_landlock(work: Callable[[], T]) -> T:
    found: list[T] = []

    def filtered() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        instructions = b"".join(struct.pack("<HBBI", *instruction) for instruction in _INSTRUCTIONS)
        filling = ctypes.create_string_buffer(instructions, len(instructions))
        program = struct.pack("<QQ", len(_INSTRUCTIONS), ctypes.addressof(filling))
        assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        assert libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.c_char_p(program), 0, 0) == 0
        found.append(work())

    thread = threading.Thread(target=filtered)
    thread.start()
    thread.join()
    return found[0]
