"""A coordinator and workers at fixed addresses, as docker-compose has them: processes that a test may hurt."""

import json
import os
import signal
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Self

from chaos.cluster import COORDINATOR, WORKER
from support.apollo_cli import environment
from support.coordinator_process import wait_for
from support.ports import free_port

WORKERS = 3
VOLUME_BYTES = 256 << 20
ENDS = ("succeeded", "failed", "stopped")

_TOKEN = "between-the-two"


class Services:
    """As a context manager it starts all of them, and kills them in the end.

    What they write, but for their logs, lies on a small volume in memory: it can be filled, and no disk slows
    them down. To mount it needs root.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str], *, storage_endpoint: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.metrics_ports = [free_port() for _ in range(WORKERS)]
        self._worker_ports = [free_port() for _ in range(WORKERS)]
        self._settings = dict(settings)
        self._storage_endpoint = storage_endpoint
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._volume = self.directory / "volume"
        self._volume.mkdir(parents=True)
        self._open.enter_context(_small_volume(self._volume))
        for number in range(WORKERS):
            self.start_worker(number)
        self.start_coordinator()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._open.close()

    def start_coordinator(self) -> None:
        self._start(
            "coordinator",
            COORDINATOR,
            APOLLO_DATA_DIR=str(self._volume / "data"),
            APOLLO_INTERMEDIATE_DIR=str(self._volume / "intermediate"),
            APOLLO_PORT=str(self.port),
            APOLLO_POOL="static",
            APOLLO_WORKER_ADDRESSES=",".join(f"127.0.0.1:{port}" for port in self._worker_ports),
            APOLLO_WORKER_TOKEN=_TOKEN,
            APOLLO_STORAGE_ENDPOINTS=self._storage_endpoint,
        )
        wait_for(self._ready, "the coordinator")

    def start_worker(self, number: int) -> None:
        self._start(
            f"worker-{number}",
            WORKER,
            APOLLO_HOST="127.0.0.1",
            APOLLO_PORT=str(self._worker_ports[number]),
            APOLLO_METRICS_PORT=str(self.metrics_ports[number]),
            APOLLO_TOKEN=_TOKEN,
            APOLLO_WORK_DIR=str(self._volume / f"worker-{number}"),
            APOLLO_VOLUME=str(self._volume / "intermediate"),
        )

    def replace_workers(self) -> None:
        """kill -9 of all; each is started again, as another worker."""
        before = self._worker_ids()
        for number in range(WORKERS):
            self.kill(f"worker-{number}")
            self.start_worker(number)
        wait_for(lambda: len(self._worker_ids() - before) == WORKERS, "other workers")

    def kill(self, name: str) -> None:
        """kill -9 of `coordinator`, or of `worker-0` and so on."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def hold_up_coordinator(self, seconds: float) -> None:
        """Its process stands still for so long."""
        process = self._processes["coordinator"]
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    def hold_up_journal(self, seconds: float) -> None:
        """Somebody else writes to its database for so long."""
        with closing(sqlite3.connect(self._volume / "data/journal.db", timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            other.execute("ROLLBACK")

    @contextmanager
    def nearly_full_volume(self) -> Iterator[None]:
        ballast = self._volume / "ballast"
        ballast.write_bytes(bytes(VOLUME_BYTES * 95 // 100))
        try:
            yield
        finally:
            ballast.unlink()

    def submit(self, **body: Any) -> str:
        answer = self.request("POST", "/jobs", {"inputType": "file/txt", "maxAttempts": 1, **body})
        identity: str = answer["job"]["id"]
        return identity

    def run(self, **body: Any) -> str:
        """How the job ended."""
        job = self.submit(**body)
        return str(wait_for(lambda: (status := self.status(job)) in ENDS and status, f"the end of job {job}"))

    def status(self, job: str) -> str:
        return str(self.request("GET", f"/jobs/{job}")["status"])

    def stop(self, job: str) -> None:
        self.request("DELETE", f"/jobs/{job}")
        wait_for(lambda: self.status(job) in ENDS, f"the end of job {job}")

    def request(self, method: str, path: str, body: object = None) -> Any:
        """The answer's document; AssertionError with it when the coordinator refuses."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1{path}",
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

    def _worker_ids(self) -> set[str]:
        return {worker["id"] for worker in self.request("GET", "/workers")}

    def _ready(self) -> bool:
        log = self.directory / "coordinator.log"
        assert self._processes["coordinator"].poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return True
        except OSError:
            return False

    def _start(self, name: str, command: list[str], **settings: str) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env=environment(TMPDIR=str(self._volume), **self._settings, **settings), cwd=self.directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip


@contextmanager
def _small_volume(directory: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={VOLUME_BYTES}", "apollo-test", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def may_mount() -> bool:
    return os.geteuid() == 0
