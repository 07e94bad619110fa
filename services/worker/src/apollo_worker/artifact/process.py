"""A running program, seen from the worker: started through the launcher, ended for certain."""

import asyncio
import marshal
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from apollo_common.errors import ProgramError, ProgramExited
from apollo_common.lifecycle import to_the_end
from apollo_common.threads import in_thread
from apollo_worker.sandbox.sandbox import NO_DESCRIPTOR, Confinement

_LAUNCHER = Path(__file__).with_name("launcher.py")
STOP_TIMEOUT_S = 10.0  # for the launcher to kill everything; then it is killed itself
KILL_ROUNDS = 10  # against programs that start others while they are killed
_LINE_LIMIT_BYTES = 64


@dataclass(frozen=True, slots=True)
class ProgramExit:
    """`status` is -1 when a signal ended the program."""

    status: int
    signal: int = 0


@dataclass(frozen=True, slots=True)
class ProgramOrder:
    """What the launcher is told. The descriptors stay the caller's, who closes them after the start."""

    argv: list[str]
    env: Mapping[str, str]
    work: Path
    stdin: int
    stdout: int
    stderr: int
    rlimits: Mapping[str, int]
    confinement: Confinement
    own_session: bool = True  # without the caller's terminal


class ExecutionRefused(Exception):
    """The kernel would not execute the program."""

    def __init__(self, error_number: int) -> None:
        super().__init__(os.strerror(error_number))
        self.error_number = error_number


class ProgramProcess:
    """Owns the launcher's process and control socket. Made by `start`; `stop` must be awaited, whatever happened."""

    def __init__(self, launcher: subprocess.Popen[bytes], control: socket.socket, work: Path) -> None:
        self._launcher = launcher
        self._control = control
        self._work = work
        self._heard = b""
        self.process_id = 0

    @classmethod
    async def start(cls, order: ProgramOrder) -> "ProgramProcess":
        """ExecutionRefused when the program cannot be executed; then nothing is left to stop."""
        process = cls(*_launch(order), order.work)
        try:
            await process._send(order)
            await process._expect_start()
        except BaseException:
            await to_the_end(process.stop())
            raise
        return process

    async def ended(self) -> ProgramExit:
        """Waits until the program has ended and all that it left running is killed."""
        word, _, number = (await self._hear()).partition(b" ")
        if word != b"ended":
            message = "the program's launcher was killed; was it by the program, or for want of memory?"
            raise ProgramExited(message, signal=signal.SIGKILL)
        code = os.waitstatus_to_exitcode(int(number))
        return ProgramExit(code) if code >= 0 else ProgramExit(-1, -code)

    async def stop(self) -> None:
        """Kill whatever still runs. A second call does nothing."""
        self._control.close()
        try:
            await in_thread(self._launcher.wait, STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._launcher.kill()
            await in_thread(self._launcher.wait)
        if self._launcher.returncode != 0:
            await in_thread(_kill_those_of, self._work)

    async def _send(self, order: ProgramOrder) -> None:
        content = marshal.dumps(
            {
                "argv": order.argv,
                "env": dict(order.env),
                "cwd": str(order.work),
                "stdin": order.stdin,
                "stdout": order.stdout,
                "limits": [list(limit) for limit in order.rlimits.items()],
                "ruleset": order.confinement.descriptor,
                "filter": order.confinement.filter,
                "own_session": order.own_session,
            }
        )
        await asyncio.get_running_loop().sock_sendall(self._control, len(content).to_bytes(8, "little") + content)

    async def _expect_start(self) -> None:
        word, _, number = (await self._hear()).partition(b" ")
        if word == b"failed":
            raise ExecutionRefused(int(number))
        if word != b"started":
            raise ProgramError("the program's launcher ended before the program started")
        self.process_id = int(number)

    async def _hear(self) -> bytes:
        """The launcher's next line, or nothing when it has ended."""
        loop = asyncio.get_running_loop()
        while b"\n" not in self._heard:
            try:
                piece = await loop.sock_recv(self._control, _LINE_LIMIT_BYTES)
            except ConnectionResetError:
                return b""
            if not piece:
                return b""
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return line


def _kill_those_of(work: Path) -> None:
    """Without the launcher, what a program left behind is known only by the TMPDIR that it was given."""
    mark = b"\0TMPDIR=" + os.fsencode(work) + b"\0"
    for _ in range(KILL_ROUNDS):
        left = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and mark in _environment(entry)]
        if not left:
            return
        for entry in left:
            with suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)


def _environment(entry: Path) -> bytes:
    try:
        return b"\0" + (entry / "environ").read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""


def _launch(order: ProgramOrder) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Some 1 ms. On the loop's own thread: the kernel ties a process to the thread that made it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003  # the library's own signature
    handed_on = {order.stdin, order.stdout, order.confinement.descriptor} - {NO_DESCRIPTOR}
    with theirs:
        try:
            launcher = subprocess.Popen(  # noqa: S603  # our own script, and no shell
                [sys.executable, "-I", "-S", str(_LAUNCHER)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=order.stderr,
                pass_fds=tuple(handed_on),
                env={"LANG": "C.UTF-8"},
                start_new_session=order.own_session,
            )
        except BaseException:
            ours.close()
            raise
    return launcher, ours
