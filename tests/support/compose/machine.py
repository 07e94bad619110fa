"""The Docker Engine that the compose tests run on: whether another one runs on this machine does not matter to it."""

import os
from pathlib import Path

from support.cluster import images
from support.cluster.binaries import ensure_binaries
from support.cluster.configuration import write_engine_configuration
from support.cluster.daemons import Daemons
from support.cluster.docker_engine import CLIENT, DockerEngine
from support.cluster.packages import ENGINE as ENGINE_PACKAGES
from support.cluster.packages import ensure_packages
from support.cluster.places import State, cache_directory
from support.cluster.remains import remove_engine_remains

OVERRIDE = Path(__file__).with_name("stand-ins.yml")

_STATE = "/var/lib/apollo-engine"  # short, as paths of sockets have to be
_PLUGIN = "cli-plugins/docker-compose"


class Machine:
    """`up` starts what does not run; `down` leaves nothing but the cache. Both may be called again."""

    def __init__(self) -> None:
        self.state = State(Path(os.environ.get("APOLLO_ENGINE_DIR", _STATE)))
        self._daemons = Daemons(self.state, os.environ)
        self.engine = DockerEngine(self.state, self._daemons)
        self._data_root = cache_directory() / "engine"

    @property
    def is_up(self) -> bool:
        return self.engine.runs

    @property
    def variables(self) -> dict[str, str]:
        """With them `docker compose` in a checkout is Compose v2 on this engine, with stand-ins for foreign images."""
        return {
            "PATH": f"{self.state.root}/bin:{os.environ['PATH']}",
            "DOCKER_HOST": self.engine.host,
            "DOCKER_CONFIG": str(self._client_configuration),
            "COMPOSE_FILE": f"docker-compose.yml:{OVERRIDE}",
            "APOLLO_BASE_IMAGE": images.BASE,
        }

    def up(self) -> None:
        ensure_packages(ENGINE_PACKAGES)
        (compose,) = ensure_binaries(("compose",))
        if self.is_up:
            return
        self.down()
        self.state.logs.mkdir(parents=True)
        self._data_root.mkdir(parents=True, exist_ok=True)
        write_engine_configuration(self.state)
        _link(self._client_configuration / _PLUGIN, compose / "cmd")
        _link(self.state.root / "bin/docker", Path(CLIENT))
        # Networks are each project's own; a bridge for all would be another engine's, too.
        self.engine.start(self._data_root, "--bridge=none")

    def build_images(self) -> None:
        images.build_own_images(self.engine)
        images.build_s3_server(self.engine)
        images.build_prometheus(self.engine)
        self.engine.docker("image", "prune", "--force")  # of former sources; the layers of the last ones have names

    def down(self) -> None:
        """Containers go with their networks while the engine can remove those; then the engine ends."""
        if self.is_up:
            containers = self.engine.docker("ps", "--all", "--quiet").split()
            if containers:
                self.engine.docker("rm", "--force", "--volumes", *containers)
            self.engine.docker("network", "prune", "--force")
            self.engine.docker("volume", "prune", "--force")
        for name in ("dockerd", "containerd"):
            self._daemons.stop(name)
        remove_engine_remains(self.state, self._data_root)

    @property
    def _client_configuration(self) -> Path:
        return self.state.root / "client"


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
