"""Processes of this machine as the kernel tells of them."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    command: str
    cwd: str


def below(directory: Path) -> list[Process]:
    """Processes that work in the directory, or whose command line or environment names it; zombies are gone already."""
    needle, found = str(directory), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            command = _read(entry / "cmdline")
            cwd = _link(entry / "cwd")
            if needle in command or cwd.startswith(needle) or needle in _read(entry / "environ"):
                found.append(Process(int(entry.name), command.strip(), cwd))
    return found


def programs(directory: Path) -> list[int]:
    """Users' programs that run below the directory: session leaders in the `work` directory of an attempt; sorted."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (cwd := _link(entry / "cwd")).startswith(str(directory)) and cwd.endswith("/work"):
            with suppress(ProcessLookupError):
                if os.getsid(int(entry.name)) == int(entry.name):
                    found.append(int(entry.name))
    return sorted(found)


def is_alive(pid: int) -> bool:
    state = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return bool(state) and state[0] not in "ZX"


def send(pid: int, number: signal.Signals) -> bool:
    """Whether the process was there to get the signal."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
