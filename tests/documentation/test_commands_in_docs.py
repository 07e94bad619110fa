"""The commands that the README and the docs show do work, in the order in which a reader meets them.

A block of `sh` is run; a comment line before it may say `<!-- in the background -->` or `<!-- not run: REASON -->`.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.apollo_cli import REPOSITORY, environment

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^\n]*?) -->\n)?```sh\n(?P<script>.*?)^```", re.DOTALL | re.MULTILINE)
READY_SECONDS = 30


@dataclass(frozen=True)
class Block:
    mark: str
    script: str


def blocks(page: Path) -> list[Block]:
    return [Block(found["mark"] or "", found["script"]) for found in BLOCK.finditer(page.read_text())]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """What a reader sees in a clone, without what takes long: `./apollo` is the same command, already set up."""
    for name in ("README.md", "docs", "examples", "sdk"):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        elif source.exists():
            shutil.copy(source, tmp_path / name)
    shim = tmp_path / "apollo"
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m apollo_client "$@"\n')
    shim.chmod(0o755)
    return tmp_path


class Background:
    def __init__(self) -> None:
        self.processes: list[subprocess.Popen] = []

    def start(self, script: str, folder: Path) -> None:
        process = subprocess.Popen(
            ["/bin/bash", "-ec", script], cwd=folder, env=environment(), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        deadline = time.monotonic() + READY_SECONDS
        while "http://" not in (line := process.stderr.readline()):
            assert line, f"ended with {process.wait()}"
            assert time.monotonic() < deadline

    def stop(self) -> None:
        for process in self.processes:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=READY_SECONDS)


@pytest.fixture
def background() -> Iterator[Background]:
    running = Background()
    yield running
    running.stop()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_work(page, checkout, background):
    exports = ""
    for block in blocks(page):
        if block.mark.startswith("not run:"):
            continue
        if block.mark == "in the background":
            background.start(block.script, checkout)
            continue
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", exports + block.script], cwd=checkout, env=environment(),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block.script}\n{done.stdout}{done.stderr}"
        exports += "".join(f"{line}\n" for line in block.script.splitlines() if line.startswith("export "))


@pytest.mark.parametrize("page", [*PAGES, REPOSITORY / "ARCHITECTURE.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
