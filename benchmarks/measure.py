"""Runs a command and measures it: wall time, CPU time and memory of all its processes."""

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.05
SAMPLING_SHARE = 0.05  # of a processor, at most: to ask for the memory of a large process takes milliseconds
LIMIT_SECONDS = 1800
ORPHANS_SECONDS = 30
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class CommandFailed(Exception):
    """The command ended with another status than 0, or left processes; `str()` has the end of what it wrote."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run."""

    wall_seconds: float
    cpu_seconds: float  # user and system, of the command and of all its descendants, also of those it did not wait for
    peak_bytes: int  # of all processes together, sampled; pages that processes share count once (PSS)
    worker_peak_bytes: int  # of the largest single process with a worker's command line, as the kernel kept it; 0: none
    command_peak_bytes: int  # of the command's own process, sampled from what the kernel kept
    job_seconds: float | None = None  # of the job alone, by the contender's own clock


def measure(command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Measurement:
    """Run to the end, descendants included; CommandFailed. One at a time in a process."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans become ours, and so their CPU time
    others = frozenset(_family(os.getpid()))
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    sampler = _Sampler(process.pid, others)
    stderr: list[bytes] = []
    reader = threading.Thread(target=lambda: stderr.extend(process.stderr or ()))
    limit = threading.Timer(LIMIT_SECONDS, _kill_all_but, [others])
    for thread in (sampler, reader, limit):
        thread.start()
    try:
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        orphans_seconds = _wait_for_orphans(others)
    finally:
        sampler.done.set()
        limit.cancel()
    for thread in (sampler, reader, limit):
        thread.join()
    if process.stderr is not None:
        process.stderr.close()
    if process.returncode != 0:
        said = b"".join(stderr)[-2000:].decode(errors="replace")
        raise CommandFailed(f"{command[0]} ended with {process.returncode}: {said}")
    return Measurement(
        wall_seconds,
        usage.ru_utime + usage.ru_stime + orphans_seconds,
        sampler.peak_bytes,
        sampler.worker_peak_bytes,
        sampler.command_peak_bytes,
    )


def _wait_for_orphans(others: Collection[int]) -> float:
    """Processor seconds of the descendants that nobody waited for. CommandFailed when they do not end."""
    seconds = 0.0
    deadline = time.monotonic() + ORPHANS_SECONDS
    while orphans := [process for process in _family(os.getpid()) if process not in others]:
        late = time.monotonic() > deadline
        for process in orphans:
            if late:
                os.kill(process, signal.SIGKILL)
            try:
                ended, _, usage = os.wait4(process, 0 if late else os.WNOHANG)
            except ChildProcessError:  # a child of an orphan
                continue
            if ended:
                seconds += usage.ru_utime + usage.ru_stime
        if late:
            raise CommandFailed(f"the command left {len(orphans)} processes that did not end; they were killed")
        time.sleep(SAMPLE_SECONDS)
    return seconds


def _kill_all_but(others: Collection[int]) -> None:
    """What runs for too long; the command is then said to have ended with -9."""
    for process in _family(os.getpid()):
        if process not in others:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


class _Sampler(threading.Thread):
    """Adds up the memory of a process and all descendants, many times a second."""

    def __init__(self, command: int, others: Collection[int]) -> None:
        """`others`: processes that do not belong to the command."""
        super().__init__()
        self.done = threading.Event()
        self.peak_bytes = 0
        self.worker_peak_bytes = 0
        self.command_peak_bytes = 0
        self._command = command
        self._others = others

    def run(self) -> None:
        pause_seconds = 0.0
        while not self.done.wait(pause_seconds):
            began = time.thread_time()
            processes = [process for process in _family(os.getpid()) if process not in self._others]
            self.peak_bytes = max(self.peak_bytes, sum(map(_proportional_bytes, processes)))
            self.worker_peak_bytes = max([self.worker_peak_bytes, *map(_worker_peak_bytes, processes)])
            self.command_peak_bytes = max(self.command_peak_bytes, _peak_bytes(self._command))
            pause_seconds = max(SAMPLE_SECONDS, (time.thread_time() - began) / SAMPLING_SHARE)


def _family(root: int) -> list[int]:
    """The process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal() and (stat := _read(f"/proc/{entry.name}/stat")):
            parent = int(stat.rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    family = [root]
    for member in family:
        family.extend(children.get(member, ()))
    return family


def _proportional_bytes(process: int) -> int:
    """Resident memory with its share of shared pages; all of them where the process may not be looked into."""
    for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) << 10
    fields = _read(f"/proc/{process}/statm").split()
    return int(fields[1]) * PAGE_BYTES if fields else 0


def _worker_peak_bytes(process: int) -> int:
    if b"apollo-worker" not in _read(f"/proc/{process}/cmdline").replace(b"_", b"-"):
        return 0
    return _peak_bytes(process)


def _peak_bytes(process: int) -> int:
    for line in _read(f"/proc/{process}/status").splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) << 10
    return 0


def _read(path: str) -> bytes:
    """Empty when the process has ended, or may not be looked into."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # many times a second
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
