"""What an operator or a pool sets on a worker, read once from `APOLLO_*` variables."""

import os
import secrets
import socket
import sys
from itertools import product
from pathlib import Path

from pydantic import ByteSize, Field, SecretStr

from apollo_common.addresses import is_loopback
from apollo_common.errors import InvalidSetting
from apollo_common.logging import LogFormat
from apollo_common.settings import CommaSeparated, LogLevel, SandboxMode, Settings
from apollo_worker.sandbox.places import expanded

GIB = 1 << 30


def _own_worker_id() -> str:
    """The host's name and a random ending: a worker that starts again is another worker."""
    return f"{socket.gethostname()[:50]}-{secrets.token_hex(3)}"


class WorkerSettings(Settings):
    worker_id: str = Field(default_factory=_own_worker_id, max_length=100)
    host: str = "0.0.0.0"  # noqa: S104 - a pod's server is for the network; local pools set 127.0.0.1
    port: int = Field(default=8090, ge=0, le=65535)  # 0: the system chooses
    token: SecretStr = SecretStr("")  # that callers must show; empty: none
    tls_dir: Path | None = None  # ca.crt, tls.crt and tls.key; callers must show the authority's certificate
    allow_anonymous: bool = False  # beyond loopback with neither
    metrics_port: int = Field(default=8091, ge=-1, le=65535)  # probes and /metrics over HTTP; -1: none
    log_format: LogFormat = "json"
    log_level: LogLevel = "INFO"

    work_dir: Path = Path("/tmp/apollo-worker")  # noqa: S108 - spills and private directories of attempts
    scratch_limit_bytes: ByteSize = ByteSize(sys.maxsize)  # of shuffle files in work_dir, at a time
    volume: Path = Path("/var/lib/apollo/intermediate")  # map outputs, shared by all workers of a job
    shared_volume: bool = True  # map outputs lie there; false: in a bucket, and what is at `volume` is no such thing
    artifact_cache_bytes: ByteSize = ByteSize(2 * GIB)

    sandbox: SandboxMode = "prefer"
    sandbox_readable: CommaSeparated = ()  # paths, also patterns, that programs may read beside the system's
    sandbox_writable: CommaSeparated = ()  # and write
    sandbox_temporary: CommaSeparated = ()  # directories that are theirs alone, emptied at start and after each attempt

    memory_sharers: int = Field(default=1, ge=1)  # workers that share this one's memory limit

    parent_pid: int = Field(default=0, ge=0)  # end with this process; 0: no such bond
    orphan_deadline_seconds: float = Field(default=0, ge=0)  # of silence by the coordinator, then end; 0: never
    drain_seconds: float = Field(default=0, ge=0)  # to finish the attempt that runs when told to end; then it goes back
    announce: bool = False  # print {worker_id, port, pid} on standard output once ready

    @property
    def has_pool(self) -> bool:
        """Whether a pool has started the worker, and ties its life to its own: then it knows why the worker ends."""
        return bool(self.parent_pid or self.orphan_deadline_seconds)

    def check_exposure(self) -> None:
        """Whoever can call a worker can run programs on it. InvalidSetting where it would let in anybody."""
        guarded = self.token.get_secret_value() or self.tls_dir is not None or self.allow_anonymous
        if not guarded and not is_loopback(self.host):
            raise InvalidSetting(
                f"the worker would listen on {self.host} and run programs for anybody who calls: set APOLLO_TOKEN, "
                "APOLLO_TLS_DIR, or APOLLO_HOST=127.0.0.1"
            )

    def check_places(self) -> None:
        """What programs may write or is emptied lies apart from what is the worker's own. InvalidSetting."""
        given = {"WRITABLE": expanded(self.sandbox_writable), "TEMPORARY": self.sandbox_temporary}
        own = {"APOLLO_WORK_DIR": self.work_dir, "APOLLO_VOLUME": self.volume}
        for setting, places in given.items():
            for place, (name, path) in product(places, own.items()):
                if _overlap(place, path):
                    raise InvalidSetting(
                        f"APOLLO_SANDBOX_{setting}: {place} and {name}, {path}, must lie apart: programs would reach "
                        "the worker's own files"
                    )


def _overlap(one: str, other: Path) -> bool:
    """Whether they are the same, or one is below the other, links followed."""
    first, second = (Path(os.path.realpath(path)) for path in (one, other))
    return first.is_relative_to(second) or second.is_relative_to(first)
