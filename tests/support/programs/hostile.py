#!/usr/bin/env python3
"""A mapper that tries to get at what is not its own, and writes a line `attempt<TAB>what it got` for each try.

What it got is the name of the error that refused it, or a word or two. A try that could hang or kill runs in a child.
Parameters say where its prey is: `volume`, `victim` (a file of another job), `abstract` and `neighbour` (Unix sockets:
somebody's, and that of another program), and with commas `hidden` (files), `beside` (directories) and `addresses`
(name=host:port).
"""

import ctypes
import errno
import mmap
import os
import resource
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

PATIENCE_SECONDS = 5
GOT = "got it"
NUMBERS = {  # of system calls: x86-64, aarch64
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "pidfd_getfd": (438, 438),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "mount": (165, 40),
    "unshare": (272, 97),
    "open_by_handle_at": (304, 265),
    "shmget": (29, 194),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
}
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
NEW_USER, NEW_MOUNT = 0x10000000, 0x00020000
USER_SESSION_KEYRING = -5

LAUNCHER = os.getppid()
INHERITED = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]

libc = ctypes.CDLL(None, use_errno=True)


def parent_of(process: int) -> int:
    with open(f"/proc/{process}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


WORKER = parent_of(LAUNCHER)


def param(name: str) -> str:
    return os.environ.get(f"APOLLO_PARAM_{name.upper()}", "")


def system_call(name: str, *arguments: object) -> int:
    number = NUMBERS[name][os.uname().machine == "aarch64"]
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def read(path: str) -> str:
    with open(path, "rb") as file:
        return GOT if file.read(1) else "nothing in it"


def write(path: str) -> str:
    with open(path, "wb") as file:
        file.write(b"x")
    os.unlink(path)
    return GOT


def environment_with_secrets() -> str:
    words = ("SECRET", "TOKEN", "PASSWORD", "CREDENTIAL", "AWS_", "ACCESS_KEY")
    return ", ".join(name for name in os.environ if any(word in name for word in words)) or "nothing"


def read_by_ptrace() -> str:
    target = WORKER
    system_call("ptrace", PTRACE_ATTACH, target, 0, 0)
    os.waitpid(target, 0)
    system_call("ptrace", PTRACE_DETACH, target, 0, 0)
    return GOT


def read_by_vm() -> str:
    buffer = ctypes.create_string_buffer(8)
    vector = struct.pack("PN", ctypes.addressof(buffer), len(buffer))
    with open(f"/proc/{WORKER}/maps") as maps:
        start = int(maps.readline().partition("-")[0], 16)
    system_call("process_vm_readv", WORKER, vector, 1, struct.pack("PN", start, len(buffer)), 1, 0)
    return GOT


def descriptor_of_worker() -> str:
    system_call("pidfd_getfd", os.pidfd_open(WORKER), 0, 0)
    return GOT


def signal_to(process: int) -> str:
    os.kill(process, 0)
    return GOT


def limits_of(process: int) -> str:
    """To set: the kernel kills who used more processor time than it may, and refuses memory."""
    resource.prlimit(process, resource.RLIMIT_CORE, (0, 0))
    return GOT


def watched(path: str) -> str:
    """Who may watch a directory learns the names that appear in it."""
    watch = libc.inotify_add_watch(system_call("inotify_init1", 0), path.encode(), 0x100)
    if watch < 0:
        raise OSError(ctypes.get_errno(), path)
    return GOT


def marked() -> str:
    """The same by the younger way, which unprivileged processes have, too."""
    system_call("fanotify_init", 0x200, 0)
    return GOT


def system_v_memory() -> str:
    """By a number that the user's other processes may have in use; it outlives who made it."""
    made = system_call("shmget", 0, 4096, 0o1600)
    libc.shmctl(made, 0, None)
    return GOT


def connect_tcp(address: str) -> str:
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), PATIENCE_SECONDS).close()
    return GOT


def send_udp() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", 53))
    return GOT


def open_socket(family: int, kind: int, protocol: int = 0) -> str:
    socket.socket(family, kind, protocol).close()
    return GOT


def listen() -> str:
    socket.create_server(("127.0.0.1", 0)).close()
    return GOT


def connect_abstract(name: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{name}")
    return GOT


def unix_sockets_of_others() -> str:
    own = os.environ.get("APOLLO_SOCKET", "")
    with open("/proc/net/unix") as table:
        paths = [line.split()[-1] for line in table if "/" in line]
    reached = 0
    for path in set(paths) - {own}:
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)  # one that nobody accepts from keeps who connects waiting
            client.connect(path)
            reached += 1
    return f"{reached} of {len(set(paths) - {own})}"


def taken_for_the_program(path: str) -> str:
    """At the socket where a worker waits for another program, which has not come yet."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_SECONDS)
        client.connect(path)
        return GOT if client.recv(1) else "hung up on"


def opened(path: str) -> str:
    with open(path, "rb"):
        return GOT


def append_to(path: str) -> str:
    with open(path, "ab"):
        return GOT


def cut_off(path: str) -> str:
    os.truncate(path, os.stat(path).st_size)
    return GOT


def by_symlink(path: str) -> str:
    os.symlink(path, "a-symlink")
    return read("a-symlink")


def by_hard_link(path: str) -> str:
    os.link(path, "a-hard-link")
    return read("a-hard-link")


def by_rename(path: str) -> str:
    os.rename(path, "renamed")
    os.rename("renamed", path)
    return GOT


def by_proc_root(path: str) -> str:
    return read(f"/proc/self/root{path}")


def by_mount() -> str:
    """Of an empty file system, and for a moment: its directory is removed with all that is in it."""
    os.mkdir("mounted")
    system_call("mount", b"tmpfs", b"mounted", b"tmpfs", 0, None)
    libc.umount2(b"mounted", 0)
    return GOT


def by_user_namespace(flags: int) -> str:
    system_call("unshare", flags)
    return GOT


def by_handle() -> str:
    system_call("open_by_handle_at", -1, b"\0" * 16, 0)
    return GOT


def effective_user_of_setuid_program() -> str:
    """Of `su`, asked while it waits for a password."""
    before = os.geteuid()
    with subprocess.Popen(["su", "-c", "true"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        with open(f"/proc/{child.pid}/status") as status:
            users = next(line.split() for line in status if line.startswith("Uid:"))
        child.kill()
    return "its own user" if int(users[2]) == before else f"user {users[2]}"


def capabilities() -> str:
    with open("/proc/self/status") as status:
        effective = next(line.split()[1] for line in status if line.startswith("CapEff:"))
    return "none" if int(effective, 16) == 0 else "some"


def inherited_descriptors() -> str:
    """Other than its streams, and the one that listed them."""
    return str(len(INHERITED) - 1)


def keyring() -> str:
    system_call("keyctl", 0, USER_SESSION_KEYRING, 1)
    return GOT


def io_uring() -> str:
    system_call("io_uring_setup", 8, ctypes.create_string_buffer(120))
    return GOT


def bpf() -> str:
    system_call("bpf", 0, ctypes.create_string_buffer(128), 128)
    return GOT


def terminal() -> str:
    os.open("/dev/tty", os.O_RDWR)
    return GOT


def change_mode(path: str) -> str:
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode))
    return GOT


def exists(path: str) -> str:
    os.stat(path)
    return "that it is there"


def list_directory(path: str) -> str:
    return f"{len(os.listdir(path))} names"


def shared_memory() -> str:
    return write(f"/dev/shm/hostile-{os.getpid()}")


def i386_call() -> str:
    """getpid by int 0x80, which another table of system calls answers."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("53b814000000cd805bc3"))
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    return GOT


def attempts() -> Iterator[tuple[str, Callable[[], str]]]:
    yield "credentials in its own environment", environment_with_secrets
    yield "environment of its launcher", lambda: read(f"/proc/{LAUNCHER}/environ")
    yield "environment of the worker", lambda: read(f"/proc/{WORKER}/environ")
    yield "memory of the worker, by /proc", lambda: opened(f"/proc/{WORKER}/mem")
    yield "memory of the worker, by ptrace", read_by_ptrace
    yield "memory of the worker, by process_vm_readv", read_by_vm
    yield "a descriptor of the worker", descriptor_of_worker
    yield "what the worker has opened", lambda: os.readlink(f"/proc/{WORKER}/fd/0")
    yield "a signal to the worker", lambda: signal_to(WORKER)
    yield "a signal to its launcher", lambda: signal_to(LAUNCHER)
    yield "the limits of the worker", lambda: limits_of(WORKER)
    for path in filter(None, param("hidden").split(",")):
        yield path, lambda path=path: read(path)
    volume, victim = param("volume"), param("victim")
    yield "the names on the intermediate volume", lambda: list_directory(volume)
    yield "watching the intermediate volume", lambda: watched(volume)
    yield "watching it by fanotify", marked
    yield "a file on the intermediate volume", lambda: write(f"{volume}/planted")
    yield "another job's map output: to read", lambda: read(victim)
    yield "another job's map output: to write", lambda: append_to(victim)
    yield "another job's map output: to cut off", lambda: cut_off(victim)
    yield "another job's map output: to rename", lambda: by_rename(victim)
    yield "another job's map output: by a symbolic link", lambda: by_symlink(victim)
    yield "another job's map output: by a hard link", lambda: by_hard_link(victim)
    yield "another job's map output: by /proc/self/root", lambda: by_proc_root(victim)
    yield "another job's map output: its mode", lambda: change_mode(victim)
    yield "another job's map output: whether it is there", lambda: exists(victim)
    yield "the directories of other attempts", lambda: list_directory("../..")
    yield "the worker's artifacts", lambda: list_directory("../../../artifacts")
    for path in filter(None, param("beside").split(",")):
        yield f"a file in {path}", lambda path=path: write(f"{path}/hostile")
    yield "shared memory, /dev/shm", shared_memory
    yield "shared memory of System V", system_v_memory
    yield "the terminal", terminal
    for name, _, address in (pair.partition("=") for pair in filter(None, param("addresses").split(","))):
        yield name, lambda address=address: connect_tcp(address)
    yield "listening on TCP", listen
    yield "UDP", send_udp
    yield "a raw socket", lambda: open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    yield "a packet socket", lambda: open_socket(socket.AF_PACKET, socket.SOCK_RAW)
    yield "a netlink socket", lambda: open_socket(socket.AF_NETLINK, socket.SOCK_RAW)
    yield "a vsock socket", lambda: open_socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    if param("abstract"):
        yield "an abstract Unix socket", lambda: connect_abstract(param("abstract"))
    yield "Unix sockets with a path", unix_sockets_of_others
    if param("neighbour"):
        yield "another program's socket", lambda: taken_for_the_program(param("neighbour"))
    yield "io_uring", io_uring
    yield "the session keyring", keyring
    yield "bpf", bpf
    yield "a file by its handle", by_handle
    yield "a user namespace", lambda: by_user_namespace(NEW_USER)
    yield "a mount namespace", lambda: by_user_namespace(NEW_MOUNT)
    yield "a mount", by_mount
    yield "a setuid program", effective_user_of_setuid_program
    yield "capabilities", capabilities
    yield "inherited descriptors", inherited_descriptors
    if os.uname().machine == "x86_64":
        yield "system calls of i386", i386_call


def tried(attempt: Callable[[], str]) -> str:
    """The attempt's result, from a child: it may be killed for it, or wait for ever."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.write(writer, result_of(attempt).encode())
        os._exit(0)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], 2 * PATIENCE_SECONDS)
    content = os.read(reader, 1000).decode() if ready else "no answer"
    os.close(reader)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return content or signal.Signals(os.WTERMSIG(status)).name


def result_of(attempt: Callable[[], str]) -> str:
    try:
        return attempt()
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def main() -> None:
    sys.stdin.read()
    for name, attempt in attempts():
        sys.stdout.write(f"{name}\t{tried(attempt)}\n")


main()
