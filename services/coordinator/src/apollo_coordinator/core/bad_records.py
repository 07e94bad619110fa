"""Bad records: which attempts look for them and go without them, and how many a job may have.

An attempt's number of them is a built-in counter, so that a job's is a sum over accepted attempts like any other.
"""

from dataclasses import replace

from apollo_common.assignment import Counters
from apollo_common.bad_records import BAD_RECORDS, ERRORS_OF_RECORDS, MAX_QUARANTINE_BYTES, QUARANTINED_BYTES
from apollo_common.errors import QuarantineFull, TooManyBadRecords
from apollo_common.ids import AttemptId
from apollo_common.units import format_size
from apollo_coordinator.core.model import AttemptStatus, Failure, Job, Task, TaskKind
from apollo_coordinator.core.spec import JobSpec

FAILURES_BEFORE_SKIPPING = 2
"""Of a task, by its program: one may be the fault of a machine."""

MIN_ATTEMPTS = FAILURES_BEFORE_SKIPPING + 1
"""The least `maxAttempts` of a job that skips bad records."""

_REASONS = frozenset(error.reason for error in ERRORS_OF_RECORDS)
_OF_THE_QUARANTINE = frozenset((TooManyBadRecords.reason, QuarantineFull.reason))


def bad_records(counters: Counters) -> int:
    """Of a job or a task: how many its accepted attempts have skipped."""
    return counters.get("apollo", {}).get(BAD_RECORDS, 0)


def skips(spec: JobSpec, task: Task) -> bool:
    """Whether the task's next attempt skips bad records: it finds those that the mapper fails on, and goes without."""
    if not spec.max_bad_records or task.kind is TaskKind.REDUCE:
        return False
    failed = sum(
        1 for attempt in task.attempts if attempt.status is AttemptStatus.FAILED and _by_a_record(attempt.failure)
    )
    return failed >= FAILURES_BEFORE_SKIPPING


def _by_a_record(failure: Failure | None) -> bool:
    return failure is not None and failure.reason in _REASONS


def of_the_quarantine(failure: Failure | None) -> bool:
    """Whether a search has failed that found more bad records than may be skipped or kept."""
    return failure is not None and failure.reason in _OF_THE_QUARANTINE


def allowance(job: Job) -> int:
    """How many bad records a skipping attempt may find. One at least: only then it tells of those that are too many."""
    return max(1, job.spec.max_bad_records - bad_records(job.counters))


def refusal(job: Job, found: Counters) -> Failure | None:
    """Why an attempt with these counters cannot be accepted: other tasks have found bad records meanwhile."""
    if bad_records(job.counters) + bad_records(found) > job.spec.max_bad_records:
        return too_many(job, Failure(TooManyBadRecords.reason, "", retryable=False))
    if _quarantined_bytes(job.counters) + _quarantined_bytes(found) > MAX_QUARANTINE_BYTES:
        message = (
            f"the job's bad records take more than {format_size(MAX_QUARANTINE_BYTES)}, which is all that is kept of "
            f"them: see them with `apollo bad {job.id}`, then mend the program"
        )
        return Failure(QuarantineFull.reason, message, retryable=False)
    return None


def too_many(job: Job, failure: Failure) -> Failure:
    """The failure in the job's words: an attempt knows only what was left of its allowance."""
    most = job.spec.max_bad_records
    message = (
        f"the map program fails on more than {most} record{'s' if most > 1 else ''}, and the job's maxBadRecords of "
        f"{most} allows no more: see them with `apollo bad {job.id}`, then mend the program, or raise maxBadRecords"
    )
    return replace(failure, message=message)


def quarantining(job: Job) -> list[tuple[Task, AttemptId]]:
    """The attempts whose bad records count, in order of their tasks: accepted ones, and one that found too many."""
    blamed = job.failure.attempt if job.failure is not None and of_the_quarantine(job.failure) else ""
    found: list[tuple[Task, AttemptId]] = []
    for task in (*job.samplers, *job.maps):  # what an accepted sampler has found, the maps find again
        if task.accepted is not None and bad_records(task.counters):
            found.append((task, task.accepted))
        elif task.accepted is None and blamed:
            found += [(task, attempt.id) for attempt in task.attempts if attempt.id == blamed]
    return found


def _quarantined_bytes(counters: Counters) -> int:
    return counters.get("apollo", {}).get(QUARANTINED_BYTES, 0)
