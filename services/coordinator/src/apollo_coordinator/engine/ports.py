"""The adapters that the engine is made of, and how it turns their errors into the core's words."""

from dataclasses import dataclass, field, replace

from apollo_common.errors import ApolloError, CredentialsUnusable, VolumeFull
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.model import Failure
from apollo_coordinator.order import IntermediatePlace
from apollo_coordinator.ports import (
    ArtifactStore,
    BadRecordStore,
    Clock,
    CredentialSource,
    InputPlanner,
    IntermediateStore,
    Journal,
    LogStore,
    OutputCommitter,
    SecretStore,
    WorkerPool,
)


class WorkersOwnCredentials:
    """The CredentialSource port where workers find in their own environment what a job does not bring."""

    lends = False

    async def named(self, name: str, endpoints: frozenset[str]) -> StorageAccess:  # noqa: ARG002 - the port's signature
        raise CredentialsUnusable("credentials can only be named on a coordinator that runs on Kubernetes")

    async def lend(self, access: StorageAccess) -> StorageAccess:
        return access


@dataclass(frozen=True, slots=True)
class EnginePorts:
    journal: Journal
    pool: WorkerPool
    planner: InputPlanner
    committer: OutputCommitter
    intermediate: IntermediateStore
    artifacts: ArtifactStore
    logs: LogStore
    bad_records: BadRecordStore
    secrets: SecretStore
    clock: Clock
    credentials: CredentialSource = field(default_factory=WorkersOwnCredentials)
    intermediate_place: IntermediatePlace | None = None  # None: a volume that workers mount


def failure_from(error: ApolloError) -> Failure:
    failure = Failure(error.reason, str(error), retryable=error.retryable)
    if isinstance(error, VolumeFull):
        return replace(failure, full_volume=error.volume, needed_bytes=error.needed_bytes)
    return failure
