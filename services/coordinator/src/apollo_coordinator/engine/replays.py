"""What a worker was told about an attempt, for who runs it elsewhere: without credentials and uploads. Pure."""

import base64
from dataclasses import replace

from apollo_common.errors import MapOutputsGone, UnknownJob
from apollo_common.storage.location import resolve_inputs
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.bad_records import of_the_quarantine, skips
from apollo_coordinator.core.model import Attempt, AttemptStatus, Job, Task, TaskKind
from apollo_coordinator.core.state import locate
from apollo_coordinator.engine.orders import map_outputs, output_path
from apollo_coordinator.jobs import Replay
from apollo_coordinator.order import NO_MAP_OUTPUTS, AttemptOrder, MapOutputs, OutputTarget

_NOWHERE = StorageAccess()


def replay_of(job: Job, task: Task, number: int | None, records: bytes = b"") -> Replay:
    """See JobService.replay. `job` has its tasks; `records`: those that came with the order.

    Where the job's locations name an endpoint, the order names it too; all else is the reader's own.
    """
    attempt = _chosen(task, number)
    _, input_access = resolve_inputs(job.spec.input_paths, _NOWHERE)
    number = locate(attempt.id).attempt_number
    before = replace(task, attempts=task.attempts[:number])
    reduces = task.kind is TaskKind.REDUCE
    shuffles = not reduces and job.spec.n_reducers > 0
    order = AttemptOrder(
        job_id=job.id,
        task=task,
        attempt_id=attempt.id,
        attempt_number=number,
        spec=job.spec,
        input_access=input_access,
        output_access=_NOWHERE,
        map_outputs=_map_outputs(job) if reduces else NO_MAP_OUTPUTS,
        max_bad_records=job.spec.max_bad_records if skips(job.spec, before) else 0,
        splitters=base64.b64decode(job.splitters or ""),
        records=records,
        output=None if shuffles else OutputTarget("", ""),
        output_path=output_path(attempt.id) if shuffles else "",
    )
    return Replay(job, attempt, order)


def _chosen(task: Task, number: int | None) -> Attempt:
    if not task.attempts:
        raise UnknownJob(f"no attempt of task {task.id} has begun")
    if number is None:
        failed = [attempt for attempt in task.attempts if attempt.status is AttemptStatus.FAILED]
        searched = [attempt for attempt in failed if of_the_quarantine(attempt.failure)]  # long, and shows no traceback
        return ([attempt for attempt in failed if attempt not in searched] or failed or task.attempts)[-1]
    for attempt in task.attempts:
        if locate(attempt.id).attempt_number == number:
            return attempt
    raise UnknownJob(f"there is no attempt {number} of task {task.id}, only 0 to {len(task.attempts) - 1}")


def _map_outputs(job: Job) -> MapOutputs:
    """Those that are accepted, as the reduces of the job get them. MapOutputsGone."""
    if job.status.ended and not job.spec.keep_intermediate:
        raise MapOutputsGone(
            f"the map outputs of job {job.id} were removed when it ended, so its reduces cannot be replayed: run the "
            "job again with keepIntermediate, and replay the reduce of that"
        )
    missing = next((task.id for task in job.maps if task.output is None), None)
    if missing is not None:
        raise MapOutputsGone(f"map task {missing} has no output, so no reduce can be replayed")
    return map_outputs(job)
