"""The commands that the README and the docs show, and a place to run them in.

A block of `sh` is run; a comment line before it may say `<!-- in the background -->`, `<!-- not run: REASON -->`, what
it needs beside the README's requirements: `<!-- with go -->`, or on which kind of place it runs:
`<!-- on a cluster -->`, `<!-- on docker-compose, in the background -->`. A block of `python` is put into the file that
such a line names: `<!-- in words.py -->`. A block of `console` is a recorded terminal (transcripts.py): its commands
are run, and must print what it shows.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from support.apollo_cli import REPOSITORY, environment
from support.transcripts import Recorded, transcript

BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^\n]*?) -->\n)?```(?P<language>sh|python|console)\n(?P<script>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
READY_SECONDS = 30
_BACKGROUND = "in the background"
_ON, _WITH, _IN = "on ", "with ", "in "


@dataclass(frozen=True)
class Block:
    mark: str
    script: str
    recorded: tuple[Recorded, ...] = ()  # in place of a script

    @property
    def is_run(self) -> bool:
        return not self.mark.startswith("not run:")

    @property
    def in_background(self) -> bool:
        return self.mark.endswith(_BACKGROUND)

    @property
    def place(self) -> str:
        """`a cluster`, `docker-compose`; empty where no more than a checkout is needed."""
        return self.mark.removeprefix(_ON).partition(",")[0] if self.mark.startswith(_ON) else ""

    @property
    def needs(self) -> list[str]:
        """Commands that not every machine has."""
        return self.mark.removeprefix(_WITH).split(", ") if self.mark.startswith(_WITH) else []


def blocks(page: Path) -> list[Block]:
    return list(_blocks(page.read_text()))


def _blocks(text: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        mark = found["mark"] or ""
        if found["language"] == "sh":
            yield Block(mark, found["script"])
        elif found["language"] == "console":
            yield Block(mark, "", tuple(transcript(found["script"])))
        elif mark.startswith(_IN):
            yield Block("", f"cat > {mark.removeprefix(_IN)} <<'END OF FILE'\n{found['script']}END OF FILE\n")


def make_checkout(folder: Path, *more: str) -> Path:
    """What a reader sees in a clone, without what takes long: its commands and its Python are the same, already set up.

    `more`: files and folders beside those that most pages speak of.
    """
    folder.mkdir(exist_ok=True)
    for name in ("README.md", "docs", "examples", "infra", "sdk", *more):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        elif source.exists():
            shutil.copy(source, folder / name)
    (folder / ".venv/bin").mkdir(parents=True)
    commands = {
        "apollo": "-m apollo_client",
        ".venv/bin/apollo-hadoop": "-m apollo_client hadoop",
        ".venv/bin/python": "",
    }
    for name, started in commands.items():
        shim = folder / name
        shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {started} "$@"\n')
        shim.chmod(0o755)
    return folder


class Shell:
    """Runs blocks one after another, as a reader does in one terminal; what is in the background in others."""

    def __init__(self, checkout: Path, variables: Mapping[str, str] | None = None, *, ready: str = "http://") -> None:
        """`ready`: what a block in the background says once it serves, on standard error or output."""
        self._checkout = checkout
        self._environment = environment() | dict(variables or {})
        self._ready = ready
        self._kept = ""
        self._processes: list[subprocess.Popen[str]] = []

    def run(self, block: Block, *, timeout_seconds: float = 100) -> str:
        """What it prints. Its `export`s and functions last."""
        if block.in_background:
            self._start(block.script)
            return ""
        if block.recorded:
            return "".join(self._compare(recorded, timeout_seconds) for recorded in block.recorded)
        done = self._done(
            "/bin/bash", "-euo", "pipefail", "-c", self._kept + block.script, timeout_seconds=timeout_seconds
        )
        assert done.returncode == 0, f"{block.script}\n{done.stdout}{done.stderr}"
        self._kept += "".join(f"{line}\n" for line in block.script.splitlines() if _lasts(line))
        return done.stdout

    def _compare(self, recorded: Recorded, timeout_seconds: float) -> str:
        script = f"{self._kept}exec 2>&1\n{recorded.command}"
        done = self._done("/bin/bash", "-c", script, timeout_seconds=timeout_seconds)
        difference = recorded.difference(done.stdout, done.returncode)
        assert difference is None, difference
        return done.stdout

    def _done(self, *command: str, timeout_seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self._checkout, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=timeout_seconds, check=False,
        )  # fmt: skip

    def close(self) -> None:
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=READY_SECONDS)

    def _start(self, script: str) -> None:
        process = subprocess.Popen(
            ["/bin/bash", "-ec", script], cwd=self._checkout, env=self._environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._processes.append(process)
        deadline = time.monotonic() + READY_SECONDS
        said = ""
        while self._ready not in (line := process.stdout.readline()):
            said += line
            assert line, f"{script}ended with {process.wait()}\n{said}"
            assert time.monotonic() < deadline, said


def _lasts(line: str) -> bool:
    return line.startswith("export ") or re.match(r"\w+\(\) \{.*\}$", line) is not None
