"""Which jobs are taken. Checked before a job is journaled; a refusal changes nothing."""

import posixpath

from apollo_common.errors import IdempotencyConflict, InvalidLocation, LimitExceeded, OutputExists, UnknownJob
from apollo_common.storage.location import parse, resolve_output
from apollo_common.storage.port import StorageAccess
from apollo_coordinator.core.model import Job
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.core.state import State


def submitted_before(state: State, idempotency_key: str, body_digest: str) -> Job | None:
    """The job that the same request made earlier. IdempotencyConflict."""
    job_id = state.idempotency.get(idempotency_key) if idempotency_key else None
    if job_id is None:
        return None
    job = state.jobs[job_id]
    if job.spec.body_digest != body_digest:
        raise IdempotencyConflict(
            f"the idempotency key was used for job {job_id} with another body; send each new job under a new key"
        )
    return job


def check(state: State, spec: JobSpec) -> None:
    """OutputExists when a job writes there or has left uploads; LimitExceeded when too many jobs wait.

    UnknownJob when the one that it redrives was forgotten meanwhile.
    """
    holder = state.outputs.get(output_key(spec))
    if holder is not None and state.jobs[holder].status.ended:
        raise OutputExists(
            f"what job {holder} has left at {spec.output_path} is still being removed; try again in a while"
        )
    if holder is not None:
        raise OutputExists(
            f"job {holder} is writing to {spec.output_path}; wait for it, stop it, or name another output"
        )
    if spec.earlier_job and spec.earlier_job not in state.jobs:
        raise UnknownJob(f"there is no job {spec.earlier_job} any more")
    if state.unfinished_jobs >= state.limits.max_unfinished_jobs:
        raise LimitExceeded(
            f"{state.unfinished_jobs} jobs are unfinished, which is the limit; submit again when some have ended"
        )


def output_key(spec: JobSpec) -> str:
    """Under what an output is reserved: the place that it means, however it is written.

    Endpoints are left out, because one store may have several names.
    """
    try:
        url, _ = resolve_output(spec.output_path, StorageAccess())
        place = parse(url)
    except InvalidLocation:  # of a journal that was written under other rules
        return spec.output_path
    return posixpath.normpath(f"/{place.key.lstrip('/')}") if place.scheme == "file" else place.url
