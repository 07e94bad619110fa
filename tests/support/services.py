"""A coordinator and workers at fixed addresses, as docker-compose has them, each a process of its own."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from support.apollo_cli import environment
from support.coordinator_process import wait_for
from support.ports import free_port

COORDINATOR = [sys.executable, "-c", "from apollo_coordinator.app import main; main()"]
WORKER = [sys.executable, "-m", "apollo_worker", "apollo-worker"]
ENDS = ("succeeded", "failed", "stopped")

_TOKEN = "between-the-two"


class Services:
    """As a context manager it starts all of them, and kills them in the end.

    `settings` are variables for all. Logs lie in `directory`, what else they write in `volume`.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str], *, workers: int) -> None:
        self.directory = directory
        self.volume = directory / "volume"
        self.url = f"http://127.0.0.1:{free_port()}"
        self._settings = dict(settings)
        self._worker_ports = [free_port() for _ in range(workers)]
        self._metrics_ports = [free_port() for _ in range(workers)]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def worker_urls(self) -> list[str]:
        """Where workers serve their metrics."""
        return [f"http://127.0.0.1:{port}" for port in self._metrics_ports]

    def __enter__(self) -> Self:
        self.volume.mkdir(parents=True, exist_ok=True)  # a test may have mounted something below
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        (self.volume / "intermediate").mkdir(exist_ok=True)
        for number in range(len(self._worker_ports)):
            self.start_worker(number)
        self.start_coordinator()

    def close(self) -> None:
        for name in list(self._processes):
            self.kill(name)

    def start_coordinator(self, *, takes_jobs: bool = True) -> None:
        """And wait until it takes jobs, or else until it answers."""
        self._start(
            "coordinator",
            COORDINATOR,
            APOLLO_DATA_DIR=str(self.volume / "data"),
            APOLLO_INTERMEDIATE_DIR=str(self.volume / "intermediate"),
            APOLLO_PORT=self.url.rpartition(":")[2],
            APOLLO_POOL="static",
            APOLLO_WORKER_ADDRESSES=",".join(f"127.0.0.1:{port}" for port in self._worker_ports),
            APOLLO_WORKER_TOKEN=_TOKEN,
        )
        wait_for(self._ready if takes_jobs else self._alive, "the coordinator")

    def start_worker(self, number: int) -> None:
        self._start(
            f"worker-{number}",
            WORKER,
            APOLLO_HOST="127.0.0.1",
            APOLLO_PORT=str(self._worker_ports[number]),
            APOLLO_METRICS_PORT=str(self._metrics_ports[number]),
            APOLLO_TOKEN=_TOKEN,
            APOLLO_WORK_DIR=str(self.volume / f"worker-{number}"),
            APOLLO_VOLUME=str(self.volume / "intermediate"),
        )

    def end(self, name: str) -> int:
        """SIGTERM to it, as to a container that is stopped; its exit status."""
        process = self._processes.pop(name)
        process.terminate()
        try:
            return process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()

    def kill(self, name: str) -> None:
        """kill -9 of `coordinator`, or of `worker-0` and so on."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def submit(self, **body: Any) -> str:
        answer = self.request("POST", "/jobs", {"inputType": "file/txt", "maxAttempts": 1, **body})
        identity: str = answer["job"]["id"]
        return identity

    def run(self, **body: Any) -> str:
        """How the job ended."""
        return self.ended(self.submit(**body))

    def ended(self, job: str) -> str:
        """How, once it has."""
        return str(wait_for(lambda: (status := self.status(job)) in ENDS and status, f"the end of job {job}"))

    def status(self, job: str) -> str:
        return str(self.request("GET", f"/jobs/{job}")["status"])

    def stop(self, job: str) -> None:
        self.request("DELETE", f"/jobs/{job}")
        self.ended(job)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """The answer's document; AssertionError with it when the coordinator refuses."""
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from None

    def _ready(self) -> bool:
        return self._answers("/readyz")

    def _alive(self) -> bool:
        return self._answers("/api/v1/jobs")

    def _answers(self, path: str) -> bool:
        log = self.directory / "coordinator.log"
        assert self._processes["coordinator"].poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5):
                return True
        except OSError:
            return False

    def _start(self, name: str, command: list[str], **settings: str) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env=environment(TMPDIR=str(self.volume), **self._settings, **settings), cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
