"""Attempt orders for tests that care about the traffic, not the work."""

from apollo_common.assignment import Split, SplitPiece
from apollo_common.ids import JobId, attempt_id, map_task_id
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.model import Task, TaskKind
from apollo_coordinator.core.spec import JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.order import AttemptOrder


def map_order(script: str, *, number: int = 0, job: str = "job") -> AttemptOrder:
    """A map attempt whose parameter `script` tells a scripted worker what to do."""
    task = map_task_id(JobId(job), 0)
    return AttemptOrder(
        job_id=job,
        task=Task(task, 0, TaskKind.MAP, split=Split((SplitPiece("file:///in", 0, 1, 1, "v"),))),
        attempt_id=attempt_id(task, number),
        attempt_number=number,
        spec=JobSpec(
            ("file:///in",),
            "file:///out",
            ProgramRef(ProgramSource.BUILTIN, "builtin:identity"),
            params={"script": script},
        ),
        input_access=StorageAccess(),
        output_access=StorageAccess(),
        output_path="job/task/0",
    )
