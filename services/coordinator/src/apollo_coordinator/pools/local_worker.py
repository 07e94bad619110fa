"""One worker process on this machine: started or adopted, watched by pidfd, ended for certain.

A pidfd works for children and for strangers alike, so a worker that a coordinator of before started is looked after
like one of our own.
"""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from apollo_common.errors import InvalidSetting, TemporaryError
from apollo_common.lifecycle import to_the_end

_STATE_FILE = "worker.json"
_LOG_TAIL_CHARS = 600
_KILL_WAIT_SECONDS = 5.0
_SETTINGS_REFUSED = 2  # exit status of a worker that cannot start with its settings


class WorkerStartFailed(TemporaryError):
    """A worker process ended, or said nothing, before it was ready."""

    reason = "worker_start_failed"


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a later coordinator needs to adopt a worker. Holds its token: kept in a 0600 file, never logged."""

    worker_id: str
    address: str
    pid: int
    token: str
    started_ticks: int = 0  # of its process, since the machine's boot: process ids come again, the two together do not

    def __repr__(self) -> str:
        return f"WorkerState({self.worker_id}, {self.address}, {self.pid})"


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start a worker."""

    command: Sequence[str]
    environment: Mapping[str, str]  # beside the worker's own id and token
    log: Path
    start_seconds: float


@dataclass(frozen=True, slots=True)
class SpawnedWorker:
    """A worker process that may not serve yet."""

    worker_id: str
    directory: Path
    launch: Launch
    token: str = field(repr=False)
    child: "subprocess.Popen[bytes]" = field(repr=False)

    @classmethod
    def spawn(cls, worker_id: str, directory: Path, launch: Launch) -> "SpawnedWorker":
        """Start a process. WorkerStartFailed, with nothing left of it."""
        token = secrets.token_urlsafe(32)
        own = {"APOLLO_WORKER_ID": worker_id, "APOLLO_TOKEN": token, "APOLLO_ANNOUNCE": "1"}
        try:
            child = _spawn(directory, launch, own)
        except OSError as error:
            shutil.rmtree(directory, ignore_errors=True)
            launch.log.unlink(missing_ok=True)
            raise WorkerStartFailed(f"cannot start {launch.command[0]}: {error.strerror}") from None
        return cls(worker_id, directory, launch, token, child)

    def discard(self) -> None:
        """Kill the process if nobody has ended it."""
        if self.child.returncode is None:
            self.child.kill()
            self.child.wait()
        if self.child.stdout is not None:
            self.child.stdout.close()


class LocalWorker:
    """A process that lives, or did until `exited` was set. `directory` is its own and goes with it."""

    def __init__(
        self, state: WorkerState, directory: Path, child: "subprocess.Popen[bytes] | None", pidfd: int
    ) -> None:
        self.state = state
        self._directory = directory
        self._child = child
        self._pidfd = pidfd
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[str] = self._loop.create_future()
        """How it ended, as a sentence."""
        self._loop.add_reader(pidfd, self._ended)

    @classmethod
    async def serving(cls, spawned: SpawnedWorker) -> "LocalWorker":
        """Wait until a process that was spawned serves; it is ended where it does not.

        WorkerStartFailed; InvalidSetting when the worker refuses its settings, which it says in its log.
        """
        child = spawned.child
        state = WorkerState(spawned.worker_id, "", child.pid, spawned.token)
        worker = cls(state, spawned.directory, child, os.pidfd_open(child.pid))
        try:
            port = await _announced_port(child, spawned.launch, worker.exited)
            address = f"127.0.0.1:{port}"
            worker.state = replace(state, address=address, started_ticks=_started_ticks(child.pid))
            _write_state(spawned.directory, worker.state)
        except BaseException:
            await to_the_end(worker.end(grace_seconds=0))
            raise
        return worker

    @classmethod
    def adopt(cls, directory: Path) -> "LocalWorker | None":
        """The worker that owns `directory`, if its process still lives."""
        try:
            state = WorkerState(**json.loads((directory / _STATE_FILE).read_text()))
            pidfd = os.pidfd_open(state.pid)
        except (OSError, ValueError, TypeError):
            return None
        if _started_ticks(state.pid) != state.started_ticks:
            os.close(pidfd)
            return None
        return cls(state, directory, None, pidfd)

    async def end(self, grace_seconds: float) -> None:
        """SIGTERM, then SIGKILL; remove its directory. Returns when the process is gone."""
        self._signal(signal.SIGTERM if grace_seconds else signal.SIGKILL)
        if grace_seconds:
            await asyncio.wait({self.exited}, timeout=grace_seconds)
            self._signal(signal.SIGKILL)
        await asyncio.wait({self.exited}, timeout=_KILL_WAIT_SECONDS)
        await self._discard()

    async def _discard(self) -> None:
        """Stop watching and remove the directory."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        if not self.exited.done() and self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        status = self._child.wait() if self._child is not None else None
        if self.exited.done():
            return
        if status is None:
            self.exited.set_result("its process ended")
        elif status < 0:
            self.exited.set_result(f"its process was killed by {signal.Signals(-status).name}")
        else:
            self.exited.set_result(f"its process exited with status {status}")


def _spawn(directory: Path, launch: Launch, own: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Fork and exec, in the loop's thread on purpose: the kernel ties a worker's life to the thread that starts it."""
    directory.mkdir(parents=True, mode=0o700)
    with launch.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - the command is the operator's
            launch.command,
            env={**launch.environment, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=directory,
            start_new_session=True,  # a Ctrl-C at the terminal is for the coordinator, which ends its workers
        )


def _started_ticks(pid: int) -> int:
    """When a process started; -1 when there is none (proc_pid_stat(5), field 22)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return -1
    return int(stat.rpartition(b")")[2].split()[19])


async def _announced_port(child: "subprocess.Popen[bytes]", launch: Launch, exited: "asyncio.Future[str]") -> int:
    """Read the line that the worker prints once it serves, and close the pipe."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), child.stdout
    )
    try:
        async with asyncio.timeout(launch.start_seconds):
            line = await reader.readline()
        return int(json.loads(line)["port"])
    except TimeoutError:
        raise WorkerStartFailed(f"a worker was not ready within {launch.start_seconds:g} s") from None
    except (ValueError, KeyError, TypeError):
        await asyncio.wait({exited}, timeout=_KILL_WAIT_SECONDS)  # its output ends a moment before it does
        refused = child.returncode == _SETTINGS_REFUSED
        said = f"a worker does not start: {_log_tail(launch.log)}"
        raise (InvalidSetting(said) if refused else WorkerStartFailed(said)) from None
    finally:
        transport.close()


def _log_tail(log: Path) -> str:
    with suppress(OSError):
        text = log.read_text(errors="replace")[-_LOG_TAIL_CHARS:].strip()
        if text:
            return text
    return "it said nothing"


def _write_state(directory: Path, state: WorkerState) -> None:
    partial = directory / f"{_STATE_FILE}.partial"
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(asdict(state)))
    partial.rename(directory / _STATE_FILE)
