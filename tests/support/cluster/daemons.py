"""Processes that outlive the command which started them, by pid file."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from support.cluster.places import State

_READY_SECONDS = 120.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.1
_LOG_TAIL_CHARS = 2000
_COMMAND_CHARS = 15  # of a process's name, as Linux keeps it


class DaemonFailed(Exception):
    pass


# They outlive who starts them, and Python warns of those that are forgotten before.
_STARTED: list[subprocess.Popen[bytes]] = []


class Daemons:
    """The cluster's own processes; each is named after its program."""

    def __init__(self, state: State, environment: Mapping[str, str]) -> None:
        self._state = state
        self._environment = dict(environment)

    def start(self, command: Sequence[str | Path]) -> None:
        name = Path(command[0]).name
        with (self._state.logs / name).open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self._state.root, env=self._environment, start_new_session=True,
            )  # fmt: skip
        _STARTED.append(process)
        self._pid_file(name).write_text(str(process.pid))

    def stop(self, name: str, *, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End one and wait for its end; nothing happens when it does not run."""
        pid = self.pid(name)
        self._pid_file(name).unlink(missing_ok=True)
        if pid is None:
            return
        os.kill(pid, with_signal)
        if not _wait(lambda: not _runs(pid), _STOP_SECONDS):
            os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """At once, so that none looks after what another leaves."""
        names = [path.stem for path in self._state.root.glob("*.pid")]
        for name in names:
            pid = self.pid(name)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        for name in names:
            self.stop(name, with_signal=signal.SIGKILL)

    def pid(self, name: str) -> int | None:
        try:
            pid = int(self._pid_file(name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if _runs(pid) and _command(pid) == name[:_COMMAND_CHARS] else None  # a number may be used again

    def wait_until(self, condition: Callable[[], bool], what: str, *blamed: str) -> None:
        """DaemonFailed, with the end of the logs of those who are `blamed`."""
        if not _wait(condition, _READY_SECONDS):
            tails = [f"--- {name}\n{(self._state.logs / name).read_text()[-_LOG_TAIL_CHARS:]}" for name in blamed]
            raise DaemonFailed("\n".join([f"{what} within {_READY_SECONDS:g} s", *tails]))

    def succeeds(self, *command: str | Path) -> bool:
        return subprocess.run(command, env=self._environment, capture_output=True, check=False).returncode == 0

    def _pid_file(self, name: str) -> Path:
        return self._state.root / f"{name}.pid"


def _runs(pid: int) -> bool:
    """Also collects it when it is this process's child."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except ChildProcessError:
        pass
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
