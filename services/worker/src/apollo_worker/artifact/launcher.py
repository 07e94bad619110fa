"""Starts one user program, and leaves nothing of it behind. A script of its own: `python -I -S launcher.py`.

The worker has threads, so it cannot safely run code between fork and exec. This process has none: it starts in some
15 ms, makes itself the subreaper of everything below it, starts the program in a session of its own and waits. When the
program ends, or when the control socket closes because the worker wants to stop or is dead, it kills what is left,
daemons included, and exits.

Standard input is the control socket, a Unix stream socket. In: one marshalled dict with `argv`, `env`, `cwd`, `stdin`,
`stdout` (descriptor numbers), `limits` ([resource, limit] pairs), `own_session` (false: it shares the worker's
terminal, whose keys interrupt it and not the launcher) and the sandbox: `ruleset` (Landlock's, a descriptor number;
-1: none) and `filter` (seccomp's, bytes), after its length as 8 bytes, little-endian. Out, one line each:
`started PID` or `failed ERRNO`, then, when nothing is left running, `ended STATUS` with the raw wait status. Standard
error becomes the program's.

Imports are few because each costs milliseconds: signal, json and subprocess would double the start.
"""

import ctypes
import errno
import marshal
import os
import resource
import select
import time
from typing import Any, NoReturn

CONTROL_FD = 0
REAP_INTERVAL_MS = 1000  # daemons that ended below us wait this long for their burial
TEXT_BUSY_RETRIES = 100
TEXT_BUSY_PAUSE_S = 0.01

SIGPIPE, SIGXFSZ, SIGKILL = 13, 25, 9  # the same on every Linux architecture that Python supports
SIGINT, SIGQUIT = 2, 3
SIG_DFL, SIG_IGN = None, 1
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
LANDLOCK_RESTRICT_SELF = 446  # a system call without a function in libc
BPF_INSTRUCTION_BYTES = 8
CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
CAPABILITY_WORDS = 6  # effective, permitted, inheritable: 64 bits each

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
_libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
_libc.signal.restype = ctypes.c_void_p


def main() -> None:
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    order = _read_order()
    if order is None:
        return
    if not order["own_session"]:
        _set_keys(SIG_IGN)
    program, errno_pipe = _start(order)
    _release_program_ends(order)
    failure = os.read(errno_pipe, 16)
    if failure:
        os.waitpid(program, 0)
        _tell(b"failed " + failure)
        return
    _tell(b"started %d" % program)
    status = _wait(program)
    _kill_everything()
    if status is not None:
        _tell(b"ended %d" % status)


def _read_order() -> dict[str, Any] | None:
    """The worker's order; None when the worker died before it was sent."""
    length = _read_exactly(8)
    content = _read_exactly(int.from_bytes(length, "little")) if length else b""
    if not content:
        return None
    order: dict[str, Any] = marshal.loads(content)  # noqa: S302  # both ends are the same interpreter and trust each other
    return order


def _read_exactly(length: int) -> bytes:
    """`length` bytes of the control socket, or none when it closes before."""
    content = b""
    while len(content) < length:
        piece = os.read(CONTROL_FD, length - len(content))
        if not piece:
            return b""
        content += piece
    return content


def _start(order: dict[str, Any]) -> tuple[int, int]:
    """Fork the program; returns its process id and a pipe that holds the errno if it could not be executed."""
    errno_pipe, report_fd = os.pipe2(os.O_CLOEXEC)
    launcher = os.getpid()
    program = os.fork()
    if program == 0:
        try:
            _become(order, launcher)
        except OSError as error:
            os.write(report_fd, b"%d" % (error.errno or errno.EIO))
        finally:
            os._exit(127)
    os.close(report_fd)
    return program, errno_pipe


def _become(order: dict[str, Any], launcher: int) -> NoReturn:
    if order["own_session"]:
        os.setsid()
    else:
        _set_keys(SIG_DFL)
    _prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != launcher:  # it died before the line above
        os._exit(127)
    for signal_number in (SIGPIPE, SIGXFSZ):  # Python ignores them, and exec would hand that on
        _libc.signal(signal_number, SIG_DFL)
    os.chdir(order["cwd"])
    stdin_fd, stdout_fd = os.dup(order["stdin"]), os.dup(order["stdout"])
    os.dup2(stdin_fd, 0)
    os.dup2(stdout_fd, 1)
    for name, limit in order["limits"]:
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(number, (allowed, allowed))
    for descriptor in (order["stdin"], order["stdout"]):
        os.set_inheritable(descriptor, False)  # noqa: FBT003  # the library's own signature
    _prctl(PR_SET_NO_NEW_PRIVS, 1)  # a process that changes its user could not be killed
    if order["ruleset"] >= 0:
        _confine(order["ruleset"], order["filter"])
    _execute(order["argv"], order["env"])


def _set_keys(handler: int | None) -> None:
    """For the signals of a terminal's keys."""
    for signal_number in (SIGINT, SIGQUIT):
        _libc.signal(signal_number, handler)


def _confine(ruleset: int, filter_: bytes) -> None:
    """Enter the sandbox, for good; the launcher itself stays outside, where the program cannot signal or trace it."""
    # Root's program is as powerless as anybody's: it could look past the sandbox at other processes' memory.
    if _libc.capset(CAPABILITY_VERSION_3.to_bytes(8, "little"), bytes(4 * CAPABILITY_WORDS)) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    if _libc.syscall(ctypes.c_long(LANDLOCK_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint(0)) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)
    instructions = ctypes.create_string_buffer(filter_, len(filter_))
    # struct sock_fprog: an unsigned short, padding, a pointer. Filters are made for little-endian machines only.
    length = len(filter_) // BPF_INSTRUCTION_BYTES
    program = length.to_bytes(8, "little") + ctypes.addressof(instructions).to_bytes(8, "little")
    holder = ctypes.create_string_buffer(program, len(program))
    _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(holder))


def _execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    for _ in range(TEXT_BUSY_RETRIES):
        try:
            os.execve(argv[0], argv, env)  # noqa: S606  # running the user's program is the point
        except OSError as error:
            # A process that the worker forked while it wrote the file may hold it open until it calls exec itself.
            if error.errno != errno.ETXTBSY:
                raise
            time.sleep(TEXT_BUSY_PAUSE_S)
    raise OSError(errno.ETXTBSY, "busy")


def _wait(program: int) -> int | None:
    """The program's wait status; None when the worker wants to stop, or is gone, before it ends."""
    poll = select.poll()
    poll.register(os.pidfd_open(program), select.POLLIN)
    poll.register(CONTROL_FD, select.POLLIN)
    while True:
        ready = poll.poll(REAP_INTERVAL_MS)
        status = _reap(program)
        if status is not None:
            return status
        if any(descriptor == CONTROL_FD for descriptor, _ in ready):
            return None


def _reap(program: int) -> int | None:
    """Bury the processes that have ended; the program's wait status when it is among them."""
    found = None
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if process == 0:
            return found
        if process == program:
            found = status


def _kill_everything() -> None:
    """Kill children until there are none: to the subreaper, the orphans of a killed child are children in turn."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        for child in _children():
            try:
                os.kill(child, SIGKILL)
            except ProcessLookupError:
                continue
        os.waitpid(-1, 0)


def _children() -> list[int]:
    """Our children that still run, by /proc, since the kernel may be built without the `children` file."""
    own, found = os.getpid(), []
    for name in os.listdir("/proc"):  # noqa: PTH208  # as below
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123  # pathlib takes milliseconds to import
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == own and state != b"Z":
            found.append(int(name))
    return found


def _release_program_ends(order: dict[str, Any]) -> None:
    """Let go of what the program reads and writes, or its readers would never see the end."""
    for descriptor in {order["stdin"], order["stdout"], order["ruleset"]} - {-1}:
        os.close(descriptor)
    os.dup2(os.open(os.devnull, os.O_RDWR), 2)


def _tell(line: bytes) -> None:
    try:
        os.write(CONTROL_FD, line + b"\n")
    except (BrokenPipeError, ConnectionResetError):
        return  # the worker is gone; nobody is left to be told


def _prctl(option: int, value: int, argument: int = 0) -> None:
    if _libc.prctl(option, value, argument, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


if __name__ == "__main__":
    main()
