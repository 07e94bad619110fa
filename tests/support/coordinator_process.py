"""A coordinator as a process of its own with worker processes (`apollo up`), killed and started again by a test."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from chaos.processes import below
from support.apollo_cli import command, environment
from support.ports import free_port

DEADLINE_SECONDS = 90
POLL_SECONDS = 0.05

T = TypeVar("T")


def wait_for(look: Callable[[], T], what: str, seconds: float = DEADLINE_SECONDS) -> T:
    """Poll until `look` returns something true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(POLL_SECONDS)
    pytest.fail(f"waited {seconds} s for {what}")


class CoordinatorProcess:
    """Leaving the context kills it and everything that it has started."""

    def __init__(self, directory: Path, settings: Mapping[str, str], workers: int = 2) -> None:
        self.directory = directory
        self._settings = settings
        self._workers = workers
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        while left := below(self.directory):
            for process in left:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)

    def start(self) -> None:
        with (self.directory / "coordinator.log").open("ab") as log:
            self._process = subprocess.Popen(
                command("up", "--port", self.port, "--workers", self._workers, "--data-dir", self.directory / "data"),
                env=environment(**self._settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
            )
        wait_for(self._ready, "the coordinator")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """kill -9. From any thread."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def worker_pids(self) -> list[int]:
        return [each.pid for each in below(self.directory) if "apollo-worker" in each.command]

    @property
    def dead(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def submit(self, **body: Any) -> str:
        document = self.request("POST", "/jobs", {"inputType": "file/txt", **body})
        assert "job" in document, document
        identity: str = document["job"]["id"]
        return identity

    def job(self, job: str) -> dict[str, Any]:
        return self.request("GET", f"/jobs/{job}")

    def ended(self, job: str, seconds: float = DEADLINE_SECONDS) -> dict[str, Any]:
        """The job once it has ended. A dead coordinator is started again."""

        def look() -> dict[str, Any] | None:
            if self.dead:
                self.start()
            with suppress(OSError):
                shown = self.job(job)
                return shown if shown["status"] in ("succeeded", "failed", "stopped") else None
            return None

        return wait_for(look, f"the end of job {job}", seconds)

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The answer's document, a problem document too. OSError when there is no answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                document: dict[str, Any] = json.load(answer)
                return document
        except urllib.error.HTTPError as error:
            with error:
                refused: dict[str, Any] = json.load(error)
                return refused

    def _ready(self) -> bool:
        assert not self.dead, (self.directory / "coordinator.log").read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                ready: bool = answer.status == 200
                return ready
        except OSError:
            return False
