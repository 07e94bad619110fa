"""What commands leave behind: processes, sockets, files, descriptors.

A `Scene` is a home of its own for the commands of one test. Every directory that they might write to unasked lies below
it, and this process becomes the subreaper: whatever a command starts, however it detaches itself and whatever
environment it is given, stays a descendant of this process, and is found.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from support.apollo_cli import Outcome, apollo, command, environment

PATIENCE_SECONDS = 60
SETTLED_SECONDS = 0.5
_PR_SET_CHILD_SUBREAPER = 36

T = TypeVar("T")


def wait_for(look: Callable[[], T], what: str) -> T:
    """Poll until `look` returns something true; the test fails with `what` and the last answer otherwise."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {what}"
        time.sleep(0.02)
    return found


def settled(look: Callable[[], T]) -> T:
    """What `look` returns once that no longer changes."""
    before = look()
    while True:
        time.sleep(SETTLED_SECONDS)
        found = look()
        if found == before:
            return found
        before = found


class Scene:
    """`root` is short: sockets lie below it. `files` of the commands' own making are those outside `given`."""

    def __init__(self, root: Path, before: frozenset[int]) -> None:
        self.root = root
        self.given = root / "given"  # the test's own files
        self.temporary = root / "tmp"
        self.home = root / "home"
        for directory in (self.given, self.temporary, self.home):
            directory.mkdir()
        self._before = before
        self._commands: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        places = {"TMPDIR": str(self.temporary), "HOME": str(self.home)}
        return places | {f"XDG_{name}_HOME": str(self.home / name) for name in ("STATE", "CACHE", "DATA", "CONFIG")}

    def start(
        self, *arguments: object, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE, **env: str
    ) -> "subprocess.Popen[bytes]":
        """The apollo command in the background, in a session of its own."""
        process = subprocess.Popen(
            command(*arguments),
            env=environment(**self.environment, **env),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        self._commands.append(process)
        return process

    def apollo(self, *arguments: object, **env: str) -> Outcome:
        """The apollo command to its end."""
        return apollo(*arguments, **self.environment, **env)

    def processes(self) -> dict[int, str]:
        """Command lines of what was started here and runs, by process id. Buries adopted processes that have ended."""
        own = {process.pid for process in self._commands}
        found = {}
        for process in sorted(_descendants(os.getpid()) - self._before):
            state = _stat(process)
            if state is None:
                continue
            if state[0] != "Z":
                found[process] = _command_line(process)
            elif int(state[1]) == os.getpid() and process not in own:
                with suppress(ChildProcessError):
                    os.waitpid(process, os.WNOHANG)
        return found

    def named(self, word: str) -> list[int]:
        """Processes with a word in their command line, the oldest first."""
        return [process for process, line in self.processes().items() if word in line]

    def has_mapped(self, word: str, library: str) -> bool:
        """Whether a process with a word in its command line has loaded a shared object of such a name."""
        return any(library in _about(process, "maps") for process in self.named(word))

    def files(self) -> list[str]:
        """Everything below the scene's directories that the test has not put there, relative to the root."""
        found = (path.relative_to(self.root) for path in sorted(below(self.root)))
        made = {self.given.name, self.temporary.name, self.home.name}
        return [str(path) for path in found if path.parts[0] != self.given.name and str(path) not in made]

    def unix_sockets(self) -> list[str]:
        """Names of bound Unix sockets, abstract ones included, that lie below the root or name it."""
        lines = Path("/proc/net/unix").read_text().splitlines()[1:]
        return [name for line in lines if str(self.root) in (name := line.split(maxsplit=7)[-1])]

    def nothing_runs(self) -> None:
        """Wait until no process and no socket is left. Ending takes its time; staying does not pass."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (left := self.processes()) or self.unix_sockets():
            assert time.monotonic() < deadline, f"left running: {left}, sockets: {self.unix_sockets()}"
            time.sleep(0.02)

    def end(self) -> None:
        """Kill whatever is left, so that a failed test harms no other."""
        while left := self.processes():
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.01)
        for process in self._commands:
            process.communicate()


@contextmanager
def a_scene() -> Iterator[Scene]:
    """A scene, and this process as the subreaper of all that happens there."""
    root = Path(tempfile.mkdtemp(prefix="ends-", dir="/tmp"))
    libc = ctypes.CDLL(None)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    here = Scene(root, frozenset(_descendants(os.getpid())))
    # What is ignored here, as under nohup, would be ignored by every command from its first moment on.
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield here
    finally:
        here.end()
        signal.signal(signal.SIGHUP, hangup)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with a_scene() as here:
        yield here


def below(root: Path) -> list[Path]:
    """All that lies below a directory, also while things come and go there."""
    return [Path(directory, name) for directory, names, files in os.walk(root) for name in (*names, *files)]


def descriptors(process: int) -> Counter[str]:
    """What a process has open, by kind or path; numbers that differ each time are left out."""
    found: Counter[str] = Counter()
    for entry in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found[str(entry.readlink()).partition(":")[0]] += 1
    return found


def children(process: int) -> list[int]:
    """The children of a process."""
    return [child for child in _all() if (state := _stat(child)) is not None and int(state[1]) == process]


def lives(process: int) -> bool:
    state = _stat(process)
    return state is not None and state[0] != "Z"


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _stat(process: int) -> list[str] | None:
    """State, parent and what follows; None when it is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _command_line(process: int) -> str:
    return _about(process, "cmdline").replace("\0", " ")


def _about(process: int, name: str) -> str:
    """A file of /proc; empty for a process that has ended."""
    try:
        return Path(f"/proc/{process}/{name}").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _descendants(of: int) -> set[int]:
    parents = {process: int(state[1]) for process in _all() if (state := _stat(process)) is not None}
    found: set[int] = set()
    layer = {of}
    while layer := {process for process, parent in parents.items() if parent in layer} - found:
        found |= layer
    return found
