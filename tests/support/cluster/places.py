"""Where the cluster, or a Docker Engine alone, keeps what it makes."""

import os
from dataclasses import dataclass
from pathlib import Path

_DEFAULT_STATE = "/var/lib/apollo-cluster"  # short: paths of Unix sockets lie below it


def cache_directory() -> Path:
    """What outlives the cluster: binaries by their go.sum, images by what they were built from."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "apollo"


@dataclass(frozen=True)
class State:
    """The files of one cluster, or of one engine. `root` is removed with it."""

    root: Path

    @classmethod
    def default(cls) -> "State":
        return cls(Path(os.environ.get("APOLLO_CLUSTER_DIR", _DEFAULT_STATE)))

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """Every call to the API server, one JSON document a line (audit.k8s.io/v1 Event)."""
        return self.logs / "audit.jsonl"

    @property
    def loaded_images(self) -> Path:
        """A file per image of the node: its id in the Docker Engine."""
        return self.root / "loaded-images"

    @property
    def containerd_socket(self) -> Path:
        return self.root / "containerd.sock"

    @property
    def docker_socket(self) -> Path:
        return self.root / "docker.sock"
