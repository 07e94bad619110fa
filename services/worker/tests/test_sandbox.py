"""Programs in the sandbox of a worker, run for real on this machine's kernel."""

import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apollo_common.errors import InvalidSetting, ProgramExited, ProgramStartFailed
from apollo_worker.sandbox.landlock import NEWEST_ABI, kernel_abi
from apollo_worker.sandbox.sandbox import NO_SANDBOX, Sandbox, establish
from support.kernel_without_landlock import kernel_without_landlock
from support.sessions import Bench

__all__ = ["kernel_without_landlock"]

pytestmark = pytest.mark.skipif(
    establish("prefer").abi == 0, reason=f"no sandbox on this machine: {establish('prefer').description}"
)

ABIS = tuple(range(1, min(kernel_abi(), NEWEST_ABI) + 1)) if establish("prefer").abi else ()


def sandbox(abi: int = 0, **settings) -> Sandbox:
    """This machine's, as a kernel with that version of Landlock would make it."""
    full = establish("require", **settings)
    return Sandbox(full.description, abi or full.abi, full.machine, full.readable, full.writable)


async def said(tmp_path: Path, script: str | Path, **settings) -> list[str]:
    """The lines that a program writes after it has read its input."""
    settings = {"sandbox": sandbox(), **settings}
    bench = Bench(tmp_path / "work", f"cat >/dev/null\n{script}" if isinstance(script, str) else script, **settings)
    try:
        await bench.map_lines(b"x")
    except ProgramExited as error:
        raise AssertionError(bench.observer.log.decode()) from error
    return ["\t".join(part.decode() for part in pair if part) for pair in bench.sink.emitted]


async def python(tmp_path: Path, statements: str, **settings) -> list[str]:
    """The same, of a Python program."""
    program = tmp_path / "program.py"
    program.write_text(f"#!/usr/bin/env python3\nimport sys\nsys.stdin.read()\n{statements}\n")
    return await said(tmp_path, program, **settings)


async def errno_of(tmp_path: Path, statement: str, **settings) -> str:
    """The name of the error that the statement raises in a Python program, or `none`."""
    prelude = "import ctypes, errno, os, signal, socket, subprocess\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    attempt = f"try:\n    {statement}\n    print('none')\nexcept OSError as e:\n    print(errno.errorcode[e.errno])"
    (name,) = await python(tmp_path, prelude + attempt, **settings)
    return name


WORKING = {
    "files of its own": ("echo a >f; mkdir d; mv f d/g; ln d/g h; ln -s h i; cat i; rm -r d h i; ls", ["a"]),
    "pipes and sockets of its own": ("mkfifo p; (echo a >p &) ; cat p", ["a"]),
    "an executable of its own": ("printf '#!/bin/sh\\necho a\\n' >run; chmod +x run; ./run", ["a"]),
    "a private place for temporary files": ("f=$(mktemp); echo a >$f; cat $f; dirname $f | grep -cx $PWD", ["a", "1"]),
    "devices": ("head -c 2 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo x >/dev/null", ["2", "3"]),
    "itself in /proc": ("awk '/^Name:/ {print $2}' /proc/self/status", ["awk"]),
    "sorting with a file beside": ("printf 'b\\na\\n' | sort -o s --buffer-size=1M; cat s", ["a", "b"]),
    "awk and sed": ("echo x | awk '{print $1 \"y\"}' | sed s/y/z/", ["xz"]),
    "time zones": ("TZ=Asia/Tokyo date -d @0 +%H", ["09"]),
    "the names of users": ("getent passwd 0 | cut -d: -f1", ["root"]),
    "processors": ("test $(nproc) -ge 1 && echo a", ["a"]),
    "children that it signals": ("sleep 100 & kill $!; wait $!; echo $?", ["143"]),
}


@pytest.mark.parametrize("what", WORKING)
async def test_a_program_has(tmp_path, what):
    script, expected = WORKING[what]
    assert await said(tmp_path, script) == expected


async def test_a_python_program_has_its_libraries_and_can_start_others(tmp_path):
    statements = (
        "import numpy, ssl, sqlite3, subprocess, tempfile, zoneinfo\n"
        "print(zoneinfo.ZoneInfo('Europe/Paris'))\n"
        "print(subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True, text=True).stdout.strip())\n"
        "print(tempfile.TemporaryFile().write(b'abc'))\n"
        "import socket; a, b = socket.socketpair(); a.send(b'hi'); print(b.recv(9).decode())"
    )
    assert await python(tmp_path, statements) == ["Europe/Paris", "42", "3", "hi"]


async def test_an_interpreter_outside_the_systems_directories_is_the_operators_to_add(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret").write_text("hunter2")
    subprocess.run([sys.executable, "-m", "venv", "--copies", "--without-pip", home / "venv"], check=True)
    (home / "venv/lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages/lent.py").write_text(
        "A=1"
    )
    program = tmp_path / "program.py"
    statements = (
        "import sys, lent\nsys.stdin.read()\nprint(sys.prefix)\n"
        f"try:\n    open({str(home / 'secret')!r})\nexcept PermissionError:\n    print('refused')\n"
    )
    program.write_text(f"#!{home}/venv/bin/python3\n{statements}")
    with pytest.raises(ProgramStartFailed, match="APOLLO_SANDBOX_READABLE"):
        await said(tmp_path, program)
    shown = sandbox(readable=[str(home / "venv")])
    assert await said(tmp_path, program, sandbox=shown) == [str(home / "venv"), "refused"]


@pytest.mark.parametrize("first_line", ["{bin}/run", "./env {bin}/run"], ids=["a path", "a program named env"])
async def test_a_first_line_opens_nothing(tmp_path, first_line):
    """What lies beside an interpreter may be links of the program's own making, to what it may not read."""
    others, made = tmp_path / "others", tmp_path / "made"
    others.mkdir()
    (others / "secret").write_text("hunter2")
    (made / "bin").mkdir(parents=True)
    (made / "lib").symlink_to(others)
    script = f"#!/bin/sh\ncat >/dev/null\ncat {others}/secret || echo refused\n"
    for executable in (made / "bin/run", tmp_path / "env"):
        executable.write_text(script)
        executable.chmod(0o755)
    program = tmp_path / "program"
    program.write_text(f"#!{first_line.format(bin=made / 'bin')}\n")
    try:
        lines = await said(tmp_path, program, files={"env": tmp_path / "env"})
    except ProgramStartFailed:
        lines = ["refused"]
    assert lines == ["refused"]


async def test_side_files_and_the_jobs_variables_are_there(tmp_path):
    (tmp_path / "stop").write_text("the\n")
    lines = await said(
        tmp_path, "cat stop.txt; echo $COLOUR", files={"stop.txt": tmp_path / "stop"}, env={"COLOUR": "red"}
    )
    assert lines == ["the", "red"]


async def test_files_of_others_are_refused(tmp_path):
    other = tmp_path / "other"
    other.write_text("secret")
    for statement in (
        f"open({str(other)!r})",
        f"open({str(other)!r}, 'a')",
        f"os.listdir({str(tmp_path)!r})",
        f"os.link({str(other)!r}, 'mine')",
        f"os.symlink({str(other)!r}, 'link') or open('link')",
        f"os.unlink({str(other)!r})",
        f"os.mkdir({str(tmp_path / 'new')!r})",
        f"os.truncate({str(other)!r}, 0)",
        "open('../sdk/planted', 'w')",
        "open('/etc/shadow')",
        "open('/dev/shm/left-behind', 'w')",
        "open('/proc/self/comm', 'w')",
    ):
        refused = await errno_of(tmp_path, statement)
        assert (statement, refused) == (statement, "EXDEV" if "os.link" in statement else "EACCES")
        assert await errno_of(tmp_path, statement, sandbox=NO_SANDBOX) in ("none", "EXDEV")
        for left in (Path("/dev/shm/left-behind"), tmp_path / "new"):
            if left.exists():
                left.rmdir() if left.is_dir() else left.unlink()
        other.write_text("secret")


@pytest.mark.parametrize(("box", "told"), [("require", True), ("off", False)])
async def test_a_failure_tells_of_the_sandbox(tmp_path, box, told):
    bench = Bench(tmp_path / "work", "cat; echo '/data/words: Permission denied' >&2; exit 1", sandbox=establish(box))
    with pytest.raises(ProgramExited) as raised:
        await bench.map_lines(b"x")
    assert ("sandbox" in str(raised.value)) is told


async def test_paths_that_the_operator_adds_are_there(tmp_path):
    for name in ("read", "written"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(f"{name}\n")
    reach = sandbox(readable=(f"{tmp_path}/re*",), writable=(str(tmp_path / "written"),))
    script = f"cat {tmp_path}/read/file {tmp_path}/written/file; echo more >{tmp_path}/written/new"
    assert await said(tmp_path, script, sandbox=reach) == ["read", "written"]
    assert await errno_of(tmp_path, f"open('{tmp_path}/read/new', 'w')", sandbox=reach) == "EACCES"
    assert (tmp_path / "written/new").read_text() == "more\n"


SOCKETS = {
    "TCP": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "TCP, IPv6": "socket.socket(socket.AF_INET6, socket.SOCK_STREAM)",
    "UDP": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "raw": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "packet": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "vsock": "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "crypto": "socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)",
}


@pytest.mark.parametrize("family", SOCKETS)
async def test_no_socket_but_a_unix_one(tmp_path, family):
    assert await errno_of(tmp_path, SOCKETS[family]) == "EACCES"
    allowed = {"TCP": "none", "TCP, IPv6": "none", "UDP": "none", "raw": "EPERM"}  # nobody's program has a capability
    assert await errno_of(tmp_path, SOCKETS[family], network=True) == allowed.get(family, "EACCES")


async def test_a_job_that_may_use_the_network_does(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connect = f"socket.create_connection(('127.0.0.1', {port}))"
        assert await errno_of(tmp_path, connect, network=True) == "none"
        assert await errno_of(tmp_path, connect) == "EACCES"


def call(*arguments: object) -> str:
    """A statement that makes a system call and raises its error."""
    given = ", ".join(map(str, arguments))
    return f"if libc.syscall({given}) < 0: raise OSError(ctypes.get_errno(), '')"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64's numbers of system calls, also in CI")
async def test_doors_of_the_kernel_are_shut(tmp_path):
    new_user_namespace = 0x10000000
    for statement, expected in {
        call(425, 8, "ctypes.create_string_buffer(120)"): "EPERM",  # io_uring_setup
        call(250, 0, -3, 0): "EPERM",  # keyctl: the session keyring
        call(272, new_user_namespace): "EPERM",  # unshare
        call(56, new_user_namespace | 17, 0, 0, 0, 0): "EPERM",  # clone
        call(435, 0, 0): "ENOSYS",  # clone3
        call(321, 0, 0, 0): "EPERM",  # bpf
        call(0x40000000 + 41, 2, 1, 0): "ENOSYS",  # socket, as x32 calls it
    }.items():
        assert (statement, await errno_of(tmp_path, statement)) == (statement, expected)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="int 0x80 is i386's door, also in CI")
async def test_calls_of_another_architecture_end_the_program(tmp_path):
    statements = (
        "import ctypes, mmap\n"
        "page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "page.write(bytes.fromhex('53b814000000cd805bc3'))\n"  # push rbx; mov eax, 20 (getpid); int 0x80; pop rbx; ret
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()"
    )
    assert await python(tmp_path, statements, sandbox=NO_SANDBOX) == []
    bench = Bench(tmp_path / "work", tmp_path / "program.py", sandbox=sandbox())
    with pytest.raises(ProgramExited) as ended:
        await bench.map_lines(b"x")
    assert ended.value.signal == signal.SIGSYS


async def test_the_worker_and_its_launcher_can_be_neither_signalled_nor_traced(tmp_path):
    for statement in (
        "os.kill(os.getppid(), 0)",
        f"os.kill({os.getpid()}, 0)",
        f"signal.pidfd_send_signal(os.pidfd_open({os.getpid()}), 0)",
    ):
        assert await errno_of(tmp_path, statement) == "EPERM"
        assert await errno_of(tmp_path, statement, sandbox=NO_SANDBOX) == "none"
    for file in ("environ", "mem", "maps", "fd/0", "cwd/x"):
        statement = f"open('/proc/' + str(os.getppid()) + '/{file}', 'rb')"
        assert (file, await errno_of(tmp_path, statement)) in ((file, "EACCES"), (file, "EPERM"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's program")
async def test_a_setuid_program_changes_nobody(tmp_path):
    nobody = 65_534
    programs = tmp_path / "programs"
    programs.mkdir()
    shutil.copy("/usr/bin/id", programs)
    os.chown(programs / "id", nobody, nobody)
    (programs / "id").chmod(0o4755)
    if subprocess.run([programs / "id", "-u"], capture_output=True, check=True).stdout != b"65534\n":
        pytest.skip("the file system of temporary directories knows no setuid programs, also in CI")
    for box in (NO_SANDBOX, sandbox(readable=[str(programs)])):
        assert await said(tmp_path, f"{programs}/id -u", sandbox=box) == ["0"]


async def test_abstract_sockets_of_others_are_refused(tmp_path):
    import socket

    name = f"\0apollo-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        statement = f"socket.socket(socket.AF_UNIX).connect({name!r})"
        assert await errno_of(tmp_path, statement) == "EPERM"
        assert await errno_of(tmp_path, statement, sandbox=NO_SANDBOX) == "none"


@pytest.mark.parametrize("abi", ABIS)
async def test_every_version_of_landlock_confines(tmp_path, abi):
    (tmp_path / "other").write_text("secret")
    older = sandbox(abi)
    assert await errno_of(tmp_path, f"open('{tmp_path}/other')", sandbox=older) == "EACCES"
    refused = "EACCES" if abi >= 3 else "EPERM"  # where Landlock does not know truncate(2), nobody has it
    assert await errno_of(tmp_path, f"os.truncate('{tmp_path}/other', 0)", sandbox=older) == refused
    assert await said(tmp_path, "echo a >f; : >f; echo b >f; cat f; cat <f >/dev/null", sandbox=older) == ["b"]
    # Before its second version, Landlock lets no file go from one directory to another.
    moves = "os.mkdir('d') or open('f', 'w').close() or os.link('f', 'd/f')"
    assert await errno_of(tmp_path, moves, sandbox=older) == ("EXDEV" if abi == 1 else "none")


async def test_many_programs_leave_no_descriptor(tmp_path):
    await said(tmp_path, "true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        await said(tmp_path, "ls /proc/self/fd")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert await said(tmp_path, "ls /proc/self/fd") == ["0", "1", "2", "3"]  # the listing itself opens the last


def test_off_is_no_sandbox():
    assert (establish("off").abi, establish("off").description) == (0, "off")


@pytest.mark.parametrize("setting", ["readable", "writable", "temporary"])
def test_the_operators_paths_are_absolute(setting):
    with pytest.raises(InvalidSetting, match=f"APOLLO_SANDBOX_{setting.upper()}"):
        establish("prefer", **{setting: ("data",)})


@pytest.mark.parametrize("mode", ["off", "prefer"])
def test_what_is_emptied_does_not_depend_on_the_sandbox(mode, kernel_without_landlock):
    found = kernel_without_landlock(lambda: establish(mode, temporary=("/scratch",)))
    assert (found.abi, found.temporary) == (0, ("/scratch",))
    assert establish(mode, temporary=("/scratch",)).temporary == ("/scratch",)


def test_a_worker_that_must_confine_does_not_start_where_it_cannot(tmp_path, kernel_without_landlock):
    environment = dict(os.environ) | {
        "APOLLO_SANDBOX": "require",
        "APOLLO_WORK_DIR": str(tmp_path),
        "APOLLO_HOST": "127.0.0.1",
    }
    command = [sys.executable, "-m", "apollo_worker"]
    ended = kernel_without_landlock(
        lambda: subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "APOLLO_SANDBOX" in line
    assert "Landlock" in line


def test_a_worker_that_prefers_to_confine_says_where_it_cannot(kernel_without_landlock):
    found = kernel_without_landlock(lambda: establish("prefer"))
    assert found.abi == 0
    assert found.description.startswith("none: the kernel offers no Landlock")


async def test_a_static_program_runs(tmp_path):
    source, program = tmp_path / "program.c", tmp_path / "program"
    source.write_text('#include <stdio.h>\nint main(void) { while (getchar() != EOF); return puts("a") < 0; }\n')
    subprocess.run(["cc", "-static", "-o", program, source], check=True)
    assert await said(tmp_path, program) == ["a"]
