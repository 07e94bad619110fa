"""What the filter decides, read by an interpreter of the kernel's BPF: also for machines that are not at hand."""

import errno
import struct

import pytest

from apollo_worker.sandbox.seccomp import program_filter

ALLOWED, KILLED = "allowed", "killed"
UNIX, INET, INET6, NETLINK, VSOCK = 1, 2, 10, 16, 40
NEW_USER, NEW_PID, SIGCHLD = 0x10000000, 0x20000000, 17

# linux/audit.h; arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of the kernel.
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386, ARM = 0x40000003, 0x40000028
NUMBERS = {
    "x86_64": {
        "read": 0, "socket": 41, "connect": 42, "socketpair": 53, "clone": 56, "truncate": 76, "ftruncate": 77,
        "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "perf_event_open": 298,
        "open_by_handle_at": 304, "setns": 308, "bpf": 321, "userfaultfd": 323, "prlimit64": 302,
        "inotify_init": 253, "inotify_init1": 294, "fanotify_init": 300, "shmget": 29, "shmat": 30, "shmctl": 31,
        "semget": 64, "semop": 65, "semctl": 66, "semtimedop": 220, "msgget": 68, "msgsnd": 69, "msgrcv": 70,
        "msgctl": 71,
    },
    "aarch64": {
        "read": 63, "socket": 198, "connect": 203, "socketpair": 199, "clone": 220, "truncate": 45, "ftruncate": 46,
        "add_key": 217, "request_key": 218, "keyctl": 219, "unshare": 97, "perf_event_open": 241,
        "open_by_handle_at": 265, "setns": 268, "bpf": 280, "userfaultfd": 282, "prlimit64": 261,
        "inotify_init1": 26, "fanotify_init": 262, "shmget": 194, "shmat": 196, "shmctl": 195, "semget": 190,
        "semop": 193, "semctl": 191, "semtimedop": 192, "msgget": 186, "msgsnd": 189, "msgrcv": 188, "msgctl": 187,
    },
}  # fmt: skip
DECIDED_BY_MORE = ("read", "socket", "connect", "socketpair", "clone", "unshare", "truncate", "ftruncate", "prlimit64")
MACHINE = pytest.mark.parametrize("machine", NUMBERS)


def decided(program: bytes, architecture: int, number: int, argument: int = 0) -> str:
    """Runs the filter on one call, as seccomp(2) and linux/filter.h describe it."""
    data = struct.pack("=IIQQ", number, architecture, 0, argument)
    accumulator = at = 0
    instructions = list(struct.iter_unpack("=HBBI", program))
    jumps = {
        0x15: lambda operand: accumulator == operand,
        0x35: lambda operand: accumulator >= operand,
        0x45: lambda operand: bool(accumulator & operand),
    }
    while True:
        code, if_true, if_false, operand = instructions[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, operand)
        elif code == 0x06:
            names = {0x7FFF0000: ALLOWED, 0x80000000: KILLED}
            return names.get(operand) or errno.errorcode[operand - 0x00050000]
        else:
            at += if_true if jumps[code](operand) else if_false


def ask(
    machine: str, call: str | int, argument: int = 0, *, network: bool = False, refuse_truncate: bool = False
) -> str:
    program = program_filter(machine, network=network, refuse_truncate=refuse_truncate)
    number = NUMBERS[machine][call] if isinstance(call, str) else call
    return decided(program, ARCHITECTURES[machine], number, argument)


@MACHINE
@pytest.mark.parametrize("call", ["socket", "socketpair"])
def test_sockets(machine, call):
    families = (UNIX, INET, INET6, NETLINK, VSOCK)
    assert [ask(machine, call, family) for family in families] == [ALLOWED] + 4 * ["EACCES"]
    assert [ask(machine, call, family, network=True) for family in families] == 3 * [ALLOWED] + 2 * ["EACCES"]


@MACHINE
def test_namespaces(machine):
    for call in ("clone", "unshare"):
        assert ask(machine, call, NEW_USER | SIGCHLD) == "EPERM"
        assert ask(machine, call, NEW_PID | SIGCHLD) == ALLOWED  # the kernel asks for a capability
    assert ask(machine, "clone", SIGCHLD) == ALLOWED
    assert ask(machine, 435) == "ENOSYS"  # clone3


@MACHINE
def test_other_calls(machine):
    assert {ask(machine, call) for call in NUMBERS[machine] if call not in DECIDED_BY_MORE} == {"EPERM"}
    assert {ask(machine, io_uring) for io_uring in (425, 426, 427)} == {"EPERM"}
    assert {ask(machine, call) for call in ("read", "connect", "truncate", "ftruncate")} == {ALLOWED}
    assert ask(machine, "truncate", refuse_truncate=True) == "EPERM"
    assert ask(machine, "ftruncate", refuse_truncate=True) == ALLOWED


@MACHINE
def test_the_limits_of_other_processes(machine):
    assert ask(machine, "prlimit64", 0) == ALLOWED
    assert {ask(machine, "prlimit64", process) for process in (1, 4711, 0x100000001)} == {"EPERM"}


@MACHINE
def test_calls_of_another_architecture_kill(machine):
    program = program_filter(machine, network=True, refuse_truncate=False)
    for foreign in {I386, ARM, *ARCHITECTURES.values()} - {ARCHITECTURES[machine]}:
        assert decided(program, foreign, NUMBERS[machine]["read"]) == KILLED


def test_x32_is_not_there():
    assert ask("x86_64", 0x40000000) == "ENOSYS"
