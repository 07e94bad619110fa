"""Runs one attempt: input, program and output, composed."""

from apollo_common.errors import ProgramStartFailed
from apollo_proto.apollo.v1 import Done, Failed, TaskAssignment
from apollo_worker.cache import ArtifactCache
from apollo_worker.events import EventLog
from apollo_worker.settings import WorkerSettings


class Runner:
    """The parts that it composes are landing one by one."""

    def __init__(self, settings: WorkerSettings, cache: ArtifactCache) -> None:
        self._settings = settings
        self._cache = cache

    async def run(self, assignment: TaskAssignment, events: EventLog) -> Done | Failed:  # noqa: ARG002
        raise ProgramStartFailed(f"{assignment.attempt_id}: this worker runs no programs")
