"""The seccomp filter of a program, as the kernel's BPF bytes (seccomp(2), linux/filter.h). Pure.

It closes what Landlock does not know: sockets other than Unix ones (UDP, raw, vsock, netlink), io_uring (whose requests
no filter sees), kernel keyrings, new user namespaces, watching directories, which tells the names that appear in them,
System V's shared memory and the like, which are the user's and not the program's, the limits of other processes, and a
few doors of the kernel that no map or reduce program needs. Everything else stays allowed, so that a program in any
language runs.
"""

import errno
import struct
from collections.abc import Iterable
from typing import Final

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_OR_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # struct seccomp_data; the low half of the argument
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_X32_SYSCALLS: Final = 0x40000000  # x86-64 with 32-bit pointers: other numbers for the same calls
_NEW_USER_NAMESPACE: Final = 0x10000000
_CLONE3: Final = 435

_FAMILY_UNIX, _FAMILY_INET, _FAMILY_INET6 = 1, 2, 10
LOCAL_FAMILIES: Final = (_FAMILY_UNIX,)
NETWORK_FAMILIES: Final = (_FAMILY_UNIX, _FAMILY_INET, _FAMILY_INET6)

_AUDIT_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h
_SOCKET_CALLS: Final = {"x86_64": (41, 53), "aarch64": (198, 199)}  # socket, socketpair
_NAMESPACE_CALLS: Final = {"x86_64": (56, 272), "aarch64": (220, 97)}  # clone, unshare
_LIMIT_CALLS: Final = {"x86_64": 302, "aarch64": 261}  # prlimit64: by 0, libc's getrlimit and setrlimit
_TRUNCATE: Final = {"x86_64": 76, "aarch64": 45}
_REFUSED_EVERYWHERE: Final = (425, 426, 427)  # io_uring_setup, io_uring_enter, io_uring_register
_REFUSED: Final = {
    "x86_64": (
        *(248, 249, 250),  # add_key, request_key, keyctl
        *(253, 294, 300),  # inotify_init, inotify_init1, fanotify_init
        *(29, 30, 31),  # shmget, shmat, shmctl
        *(64, 65, 66, 220),  # semget, semop, semctl, semtimedop
        *(68, 69, 70, 71),  # msgget, msgsnd, msgrcv, msgctl
        *(298, 304, 308, 321, 323),  # perf_event_open, open_by_handle_at, setns, bpf, userfaultfd
    ),
    "aarch64": (
        *(217, 218, 219),
        *(26, 262),  # inotify_init1, fanotify_init
        *(194, 196, 195),
        *(190, 193, 191, 192),
        *(186, 189, 188, 187),
        *(241, 265, 268, 280, 282),
    ),
}

MACHINES: Final = tuple(_AUDIT_ARCHITECTURES)
"""Where programs can be filtered, as `platform.machine()` names them."""


def program_filter(machine: str, *, network: bool, refuse_truncate: bool) -> bytes:
    """An array of `struct sock_filter`. A program for another architecture (a 32-bit one) is killed by SIGSYS.

    `refuse_truncate`: truncate(2) of a path, which Landlock does not know before its version 3.
    """
    families = NETWORK_FAMILIES if network else LOCAL_FAMILIES
    refused = [*_REFUSED_EVERYWHERE, *_REFUSED[machine], *([_TRUNCATE[machine]] if refuse_truncate else [])]
    return b"".join(
        (
            _architecture(machine),
            _load(_NUMBER_AT),
            *(_refuse(_JUMP_EQUAL, number, errno.EPERM) for number in refused),
            # Its flags lie in memory, which a filter cannot read: libc falls back to clone.
            _refuse(_JUMP_EQUAL, _CLONE3, errno.ENOSYS),
            *(_only_families(number, families) for number in _SOCKET_CALLS[machine]),
            *(_no_user_namespace(number) for number in _NAMESPACE_CALLS[machine]),
            _only_its_own(_LIMIT_CALLS[machine]),
            _return(_ALLOW),
        )
    )


def _architecture(machine: str) -> bytes:
    check = (
        _load(_ARCHITECTURE_AT)
        + _instruction(_JUMP_EQUAL, _AUDIT_ARCHITECTURES[machine], skip_if_true=1)
        + _return(_KILL_PROCESS)
    )
    if machine == "x86_64":
        check += _load(_NUMBER_AT) + _refuse(_JUMP_GREATER_OR_EQUAL, _X32_SYSCALLS, errno.ENOSYS)
    return check


def _refuse(comparison: int, number: int, error: int) -> bytes:
    return _instruction(comparison, number, skip_if_false=1) + _return(_ERRNO | error)


def _only_families(number: int, families: Iterable[int]) -> bytes:
    checks = b"".join(_instruction(_JUMP_EQUAL, family, skip_if_false=1) + _return(_ALLOW) for family in families)
    return _for_call(number, _load(_FIRST_ARGUMENT_AT) + checks + _return(_ERRNO | errno.EACCES))


def _no_user_namespace(number: int) -> bytes:
    check = _refuse(_JUMP_ANY_BIT, _NEW_USER_NAMESPACE, errno.EPERM)
    return _for_call(number, _load(_FIRST_ARGUMENT_AT) + check + _return(_ALLOW))


def _only_its_own(number: int) -> bytes:
    """A call whose first argument is a process id, 0 for the caller."""
    check = _instruction(_JUMP_EQUAL, 0, skip_if_false=1) + _return(_ALLOW) + _return(_ERRNO | errno.EPERM)
    return _for_call(number, _load(_FIRST_ARGUMENT_AT) + check)


def _for_call(number: int, block: bytes) -> bytes:
    """The block, which ends in a return, for that call only: the others still find the number loaded behind it."""
    return _instruction(_JUMP_EQUAL, number, skip_if_false=len(block) // _INSTRUCTION.size) + block


_INSTRUCTION: Final = struct.Struct("=HBBI")


def _instruction(code: int, operand: int, *, skip_if_true: int = 0, skip_if_false: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, skip_if_true, skip_if_false, operand)


def _load(offset: int) -> bytes:
    return _instruction(_LOAD, offset)


def _return(action: int) -> bytes:
    return _instruction(_RETURN, action)
