"""The adapters that the engine is made of, and how it turns their errors into the core's words."""

from dataclasses import dataclass

from apollo_common.errors import ApolloError
from apollo_coordinator.core.model import Failure
from apollo_coordinator.order import IntermediatePlace
from apollo_coordinator.ports import (
    ArtifactStore,
    Clock,
    InputPlanner,
    IntermediateStore,
    Journal,
    LogStore,
    OutputCommitter,
    SecretStore,
    WorkerPool,
)


@dataclass(frozen=True, slots=True)
class EnginePorts:
    journal: Journal
    pool: WorkerPool
    planner: InputPlanner
    committer: OutputCommitter
    intermediate: IntermediateStore
    artifacts: ArtifactStore
    logs: LogStore
    secrets: SecretStore
    clock: Clock
    intermediate_place: IntermediatePlace | None = None  # None: a volume that workers mount


def failure_from(error: ApolloError) -> Failure:
    return Failure(error.reason, str(error), retryable=error.retryable)
