"""What an operator, or `apollo run` and `apollo up`, sets on a coordinator; read once from `APOLLO_*` variables."""

from pathlib import Path
from typing import Literal

from pydantic import ByteSize, Field, SecretStr, field_validator

from apollo_common.errors import InvalidLocation
from apollo_common.logging import LogFormat
from apollo_common.settings import CommaSeparated, LogLevel, SandboxMode, Settings
from apollo_common.storage.location import parse

MIB = 1 << 20
DEFAULT_PORT = 4750


class CoordinatorSettings(Settings):
    data_dir: Path = Path("/var/lib/apollo/coordinator")  # journal, artifacts, logs, credentials
    # Map outputs: a directory that workers share, or s3://bucket/prefix; None: below data_dir.
    intermediate_dir: Path | str | None = None

    host: str | None = "127.0.0.1"  # None: no TCP
    port: int | None = Field(default=DEFAULT_PORT, ge=0, le=65535)  # 0: the system chooses
    unix_socket: Path | None = None
    token: SecretStr | None = None  # bearer token of the REST API that may do everything
    tokens_file: Path | None = None  # a line for each token: NAME ROLE sha256:DIGEST
    token_review: bool = False  # take tokens of the cluster's accounts
    token_audience: str = Field(default="apollo", min_length=1)  # that those are made for
    token_roles: CommaSeparated = ()  # of those: USER=ROLE, group:GROUP=ROLE

    pool: Literal["process", "static", "kubernetes"] = "process"
    workers: int = Field(default=2, ge=0, le=1000)  # process pool: at most
    worker_orphan_seconds: float = Field(default=60, ge=0)  # process pool: outlive a dead coordinator; 0: die with it
    worker_addresses: CommaSeparated = ()  # static pool: host:port, or a DNS name that stands for several
    worker_token: SecretStr = SecretStr("")  # static pool: shared by all

    # kubernetes pool
    worker_template: Path = Path("/etc/apollo/worker-pod.yaml")  # a Pod with a container named `worker`
    worker_image: str = ""  # in place of the template's
    worker_priority_class: str = ""  # the same
    worker_annotations: CommaSeparated = ()  # NAME=VALUE each, beside the template's
    kubernetes_instance: str = Field(
        default="apollo", pattern=r"^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$"
    )  # one a coordinator
    kubernetes_namespace: str = ""  # of the worker pods; empty: the coordinator's own
    kubernetes_stateful_set: str = ""  # the coordinator's own: what jobs have in the cluster belongs to it
    kubernetes_max_pods: int = Field(default=100, ge=1, le=10_000)  # of all jobs
    # What a job may ask of its pods: resources up to these quantities, the rest where a pattern matches.
    kubernetes_max_resources: CommaSeparated = ("cpu=4", "memory=8Gi", "ephemeral-storage=20Gi")
    kubernetes_allowed_images: CommaSeparated = ()
    kubernetes_allowed_node_labels: CommaSeparated = ()  # KEY=VALUE
    kubernetes_allowed_tolerations: CommaSeparated = ()  # KEY=VALUE:EFFECT
    kubernetes_allowed_priority_classes: CommaSeparated = ()
    kubernetes_allowed_service_accounts: CommaSeparated = ()
    kubernetes_allowed_labels: CommaSeparated = ()  # keys; those of Kubernetes and Apollo never
    kubernetes_single_node: bool = False  # one node alone can mount the intermediate volume: all workers run there
    kubeconfig: Path | None = None  # outside a pod

    file_roots: CommaSeparated | None = ()  # directories that file:// may reach; None: all
    storage_endpoints: (
        CommaSeparated | None
    ) = ()  # that a job may name and the environment's credentials go to; None: all
    allow_network: bool = False  # to the programs of a job that asks for it
    sandbox: SandboxMode = "prefer"  # process pool: of the workers' programs
    max_artifact_bytes: ByteSize = ByteSize(256 * MIB)
    retention_days: float = Field(default=30, gt=0)
    full_volume_probe_seconds: float = Field(default=15, ge=0.1)  # of a job that waits for room: until it looks again

    log_format: LogFormat = "json"
    log_level: LogLevel = "INFO"

    @field_validator("intermediate_dir")
    @classmethod
    def _check_place(cls, place: Path | str | None) -> Path | str | None:
        if isinstance(place, str) and "://" in place:
            try:
                location = parse(place.rstrip("/"))
            except InvalidLocation as error:
                raise ValueError(str(error)) from None
            return Path(location.key) if location.scheme == "file" else location.url.rstrip("/")
        return Path(place) if place else None

    @property
    def authenticates(self) -> bool:
        """Whether the REST API asks for tokens."""
        return self.token is not None or self.tokens_file is not None or self.token_review

    @property
    def volume(self) -> Path | None:
        """The directory that workers share; None: map outputs lie in a bucket."""
        if isinstance(self.intermediate_dir, str):
            return None
        return self.intermediate_dir or self.data_dir / "intermediate"

    @property
    def intermediate_url(self) -> str:
        """Below which map outputs lie, without a trailing slash."""
        return str(self.intermediate_dir) if self.volume is None else f"file://{self.volume}"
