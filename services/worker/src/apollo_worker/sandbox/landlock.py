"""Landlock rulesets (landlock(7)): what a process may reach of the file system, TCP, signals and abstract sockets.

A ruleset is a descriptor: it is filled here and put on by another process. Only the two system calls that fill one are
made here, through libc's `syscall`, since libc has no functions for them.
"""

import ctypes
import errno
import os
import stat
import struct
import sys
from enum import IntFlag
from typing import Final

# Their numbers are the same on every architecture, as all since Linux 5.1 (asm-generic/unistd.h).
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_VERSION: Final = 1 << 0
_PATH_BENEATH: Final = 1

NEWEST_ABI: Final = 7  # of those that this module knows; a newer kernel serves it as well
_TCP_ABI, _SCOPE_ABI = 4, 6
_BIND_AND_CONNECT_TCP: Final = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS: Final = 0b11

_libc = ctypes.CDLL(None, use_errno=True)

_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP})


class Access(IntFlag):
    """LANDLOCK_ACCESS_FS_* of linux/landlock.h."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13  # link or rename from one directory into another
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


READ: Final = Access.EXECUTE | Access.READ_FILE | Access.READ_DIR
DEVICE: Final = Access.READ_FILE | Access.WRITE_FILE | Access.TRUNCATE | Access.IOCTL_DEV
WRITE: Final = (
    READ
    | Access.WRITE_FILE
    | Access.TRUNCATE
    | Access.REFER
    | Access.REMOVE_DIR
    | Access.REMOVE_FILE
    | Access.MAKE_DIR
    | Access.MAKE_REG
    | Access.MAKE_SOCK
    | Access.MAKE_FIFO
    | Access.MAKE_SYM
)
_ON_FILES: Final = DEVICE | Access.EXECUTE  # the others mean something on directories only


def kernel_abi() -> int:
    """The version of Landlock that the kernel offers, from 1. OSError when it offers none."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    return _syscall(_CREATE_RULESET, None, 0, _VERSION)


class Ruleset:
    """Owns the descriptor. What is not allowed, and whatever `abi` can refuse, is refused."""

    def __init__(self, abi: int, *, network: bool) -> None:
        """`network` leaves TCP alone. OSError."""
        self._handled = _known_to(abi)
        tcp = _BIND_AND_CONNECT_TCP if abi >= _TCP_ABI and not network else 0
        scope = _ABSTRACT_SOCKETS_AND_SIGNALS if abi >= _SCOPE_ABI else 0
        attributes = struct.pack("=QQQ", self._handled, tcp, scope)  # older kernels take the zeros they do not know
        self.descriptor = _syscall(_CREATE_RULESET, attributes, len(attributes), 0)

    def allow(self, path: str, access: Access) -> None:
        """Allow it on the file, or on all that is beneath the directory. What does not exist needs no rule. OSError."""
        try:
            target = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _ABSENT:
                return
            raise
        try:
            allowed = access & self._handled
            if not stat.S_ISDIR(os.fstat(target).st_mode):
                allowed &= _ON_FILES
            _syscall(_ADD_RULE, self.descriptor, _PATH_BENEATH, struct.pack("=Qi", allowed, target), 0)
        finally:
            os.close(target)

    def close(self) -> None:
        """Once."""
        os.close(self.descriptor)


def _known_to(abi: int) -> Access:
    since = {Access.REFER: 2, Access.TRUNCATE: 3, Access.IOCTL_DEV: 5}
    known = Access(0)
    for access in Access:
        if abi >= since.get(access, 1):
            known |= access
    return known


def _syscall(number: int, *arguments: bytes | int | None) -> int:
    as_longs = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *as_longs)
    if result < 0:
        number_of_error = ctypes.get_errno()
        raise OSError(number_of_error, os.strerror(number_of_error))
    return result
