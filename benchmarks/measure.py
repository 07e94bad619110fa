"""Runs a command and measures it: wall time, CPU time and memory of all its processes."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.05
PAGE_BYTES = os.sysconf("SC_PAGESIZE")


class CommandFailed(Exception):
    """The command ended with another status than 0; `str()` has the end of what it wrote."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run. Memory is resident memory: pages that processes share count for each of them."""

    wall_seconds: float
    cpu_seconds: float  # user and system, of the command and of all its descendants that were waited for
    peak_bytes: int  # of all processes together, sampled
    worker_peak_bytes: int  # of the largest single process with a worker's command line, as the kernel kept it; 0: none


def measure(command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Measurement:
    """Run to the end; CommandFailed."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    sampler = _Sampler(process.pid)
    stderr: list[bytes] = []
    reader = threading.Thread(target=lambda: stderr.extend(process.stderr or ()))
    for thread in (sampler, reader):
        thread.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall_seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    sampler.done.set()
    for thread in (sampler, reader):
        thread.join()
    if process.stderr is not None:
        process.stderr.close()
    if process.returncode != 0:
        raise CommandFailed(f"{command[0]} ended with {process.returncode}: {b''.join(stderr)[-2000:].decode()}")
    return Measurement(wall_seconds, usage.ru_utime + usage.ru_stime, sampler.peak_bytes, sampler.worker_peak_bytes)


class _Sampler(threading.Thread):
    """Adds up the memory of a process and its descendants, many times a second."""

    def __init__(self, root: int) -> None:
        super().__init__()
        self.done = threading.Event()
        self.peak_bytes = 0
        self.worker_peak_bytes = 0
        self._root = root

    def run(self) -> None:
        while not self.done.wait(SAMPLE_SECONDS):
            processes = _family(self._root)
            self.peak_bytes = max(self.peak_bytes, sum(map(_resident_bytes, processes)))
            self.worker_peak_bytes = max([self.worker_peak_bytes, *map(_worker_peak_bytes, processes)])


def _family(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and (stat := _read(f"/proc/{entry.name}/stat")):
            parent = int(stat.rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    family = [root]
    for member in family:
        family.extend(children.get(member, ()))
    return family


def _resident_bytes(process: int) -> int:
    fields = _read(f"/proc/{process}/statm").split()
    return int(fields[1]) * PAGE_BYTES if fields else 0


def _worker_peak_bytes(process: int) -> int:
    if b"apollo-worker" not in _read(f"/proc/{process}/cmdline").replace(b"_", b"-"):
        return 0
    for line in _read(f"/proc/{process}/status").splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def _read(path: str) -> bytes:
    """Empty when the process has ended."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # many times a second
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""
