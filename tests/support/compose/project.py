"""docker-compose.yml of a checkout, up, and what can be done to its containers."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.compose.machine import Machine
from support.pages import make_checkout
from support.rest_jobs import Site
from support.seaweedfs import S3Server

URL = "http://localhost:4750"
S3_URL = "http://127.0.0.1:8333"
PROMETHEUS_URL = "http://127.0.0.1:9090"
GRAFANA_URL = "http://127.0.0.1:3000"
NETWORK = "apollo_back"  # that workers are on
GATES = "/var/lib/apollo/work"  # where workers see the volume of that name, which they share

_CHECKOUT = ("docker-compose.yml", ".env.example", "scripts", "libs", "services")


def make_compose_checkout(folder: Path) -> Path:
    """What a reader of docs/develop.md has before its first command."""
    return make_checkout(folder, *_CHECKOUT)


@dataclass(frozen=True)
class Project:
    machine: Machine
    checkout: Path

    def make_secrets(self) -> None:
        self._run("scripts/make-env.sh")

    def up(self, **scale: int) -> None:
        """As many containers of each service as asked for; returns when all are healthy."""
        self.compose("up", "--detach", "--wait", *(f"--scale={service}={count}" for service, count in scale.items()))

    def down(self) -> None:
        """With its volumes."""
        self.compose("down", "--volumes", "--timeout=10")

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | self.machine.variables

    @property
    def secrets(self) -> dict[str, str]:
        lines = (self.checkout / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    @property
    def site(self) -> Site:
        return Site(URL, S3Server(S3_URL, self.secrets["APOLLO_S3_KEY_ID"], self.secrets["APOLLO_S3_SECRET"]))

    def compose(self, *arguments: str) -> str:
        return self._run("docker", "compose", *arguments)

    def docker(self, *arguments: str) -> str:
        return self._run("docker", *arguments)

    def containers(self, service: str = "") -> dict[str, dict[str, Any]]:
        """What `docker inspect` says of each that exists, by name."""
        ids = self.compose("ps", "--all", "--quiet", *filter(None, [service])).split()
        found = json.loads(self.docker("inspect", *ids)) if ids else []
        return {each["Name"].strip("/"): each for each in found}

    def worker_at(self, address: str) -> str:
        """The container whose worker the coordinator knows under an address."""
        host = address.rpartition(":")[0]
        (found,) = (name for name, each in self.containers("worker").items() if address_of(each) == host)
        return found

    def kill(self, container: str) -> None:
        """Its first process, as the kernel does that has no memory left: Docker starts it again."""
        process = json.loads(self.docker("inspect", container))[0]["State"]["Pid"]
        os.kill(process, signal.SIGKILL)

    def gate(self, name: str) -> str:
        """The path, for workers, of a file that is not there until `open_gate`."""
        return f"{GATES}/gate-{name}"

    def open_gate(self, name: str) -> None:
        """By a container of its own, whatever has happened to the workers."""
        confined = ("--rm", "--network=none", f"--volume=apollo_work:{GATES}", "--entrypoint=touch")
        self.docker("run", *confined, "apollo-worker:0.1.0", self.gate(name))

    @contextmanager
    def paused(self, container: str) -> Iterator[None]:
        """It hangs: its connections stay, and nobody answers."""
        self.docker("pause", container)
        try:
            yield
        finally:
            self.docker("unpause", container)

    @contextmanager
    def cut_off(self, container: str) -> Iterator[None]:
        """Its processes go on without a network."""
        self.docker("network", "disconnect", NETWORK, container)
        try:
            yield
        finally:
            self.docker("network", "connect", "--alias=worker", NETWORK, container)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.checkout, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout


def address_of(container: dict[str, Any]) -> str:
    """Its address among the workers; empty when it is not on their network."""
    return str(container["NetworkSettings"]["Networks"].get(NETWORK, {}).get("IPAddress", ""))


def exceptions(containers: dict[str, dict[str, Any]], rule: Callable[[dict[str, Any]], bool]) -> set[str]:
    """The names of those that a rule does not hold for."""
    return {name for name, each in containers.items() if not rule(each)}
