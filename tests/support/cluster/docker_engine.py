"""A Docker Engine with a containerd, sockets and images of its own, whatever else runs on the machine."""

import subprocess
from pathlib import Path

from support.cluster.called import output_of
from support.cluster.daemons import Daemons
from support.cluster.places import State

CLIENT = "/usr/bin/docker"


class DockerEngine:
    """Also started by one process and used by another: all it knows of itself lies in the state's folder."""

    def __init__(self, state: State, daemons: Daemons) -> None:
        self.state = state
        self._daemons = daemons

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.state.docker_socket}"

    @property
    def runs(self) -> bool:
        return self._daemons.pid("dockerd") is not None

    def start(self, data_root: Path, *options: str) -> None:
        """`data_root`: images and volumes. What containerd is like is written in the state's folder. DaemonFailed."""
        state, daemons = self.state, self._daemons
        policy = _forward_policy()
        daemons.start(["containerd", "--config", state.root / "containerd.toml"])
        socket = ("ctr", "-a", state.containerd_socket, "version")
        daemons.wait_until(lambda: daemons.succeeds(*socket), "no containerd", "containerd")
        daemons.start(
            ["dockerd", "--data-root", data_root, "--exec-root", state.root / "docker-run",
             "--host", self.host, "--containerd", state.containerd_socket,
             "--pidfile", state.root / "docker.pidfile", *options]
        )  # fmt: skip
        daemons.wait_until(lambda: daemons.succeeds(*self.command("version")), "no Docker Engine", "dockerd")
        # It may have set DROP, with which no pod of a cluster reaches another.
        subprocess.run(["iptables", "-P", "FORWARD", policy], check=True)

    def command(self, *arguments: str | Path) -> list[str | Path]:
        return [CLIENT, "--host", self.host, *arguments]

    def docker(self, *arguments: str | Path) -> str:
        """What it prints; CalledProcessError after a failure."""
        return output_of(self.command(*arguments))


def _forward_policy() -> str:
    """What becomes of forwarded packets that no rule speaks of: ACCEPT or DROP."""
    shown = subprocess.run(["iptables", "-S", "FORWARD"], check=True, capture_output=True, text=True).stdout
    return shown.splitlines()[0].split()[-1]  # -P FORWARD ACCEPT
