"""Which failures of a job's attempts have one cause: 800 failed attempts of one cause are told as one.

Groups are made by fingerprint as attempts fail, a bounded number of them for each job; what fails in yet other ways is
counted in a group of its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from signal import SIGKILL
from typing import Final

from apollo_common import errors
from apollo_common.bad_records import SEARCHED
from apollo_common.fingerprints import fingerprint
from apollo_common.telling_lines import telling_lines
from apollo_coordinator.core.model import Attempt, AttemptStatus, Failure, FailureGroup, Job, Task, TaskKind
from apollo_coordinator.core.spec import ProgramRef
from apollo_coordinator.core.state import JobQueue, known_as

MAX_FAILURE_GROUPS: Final = 100  # of a job, beside the one for all others
MAX_COUNTED_WORKERS: Final = 100  # that are told apart in one group
MAX_MESSAGE_CHARACTERS: Final = 1000
OTHER: Final = "other"
"""In place of the fingerprint, and the reason, of the group for all that came after MAX_FAILURE_GROUPS."""

_NOT_OF_A_PROGRAM: Final = frozenset(
    error.reason
    for error in (
        errors.ObjectNotFound,
        errors.BucketNotFound,
        errors.StorageAccessDenied,
        errors.StorageUnavailable,
        errors.CredentialsUnusable,
        errors.InvalidLocation,
        errors.InputChanged,
        errors.InputCorrupt,
        errors.UnsupportedCompression,
        errors.OutputNotWritable,
        errors.UploadLost,
        errors.MemoryBudgetTooLarge,
        errors.InvalidPartitioner,
        errors.InvalidKeyOrder,
    )
)
"""Reasons of failures that come from a job's input, its output or its settings: no program is named for them."""

_OF_A_PROGRAM: Final = frozenset(
    error.reason
    for error in (
        errors.ProgramError,
        errors.ProgramExited,
        errors.ProgramReadNothing,
        errors.ProgramProtocolError,
    )
)
"""Reasons by which a program may fail on the same input wherever it runs: it had memory and time enough."""


SOUGHT_REASONS: Final = frozenset((errors.ProgramExited.reason, errors.ProgramProtocolError.reason))
"""By which a program fails that one record may have broken, and that are met soon when it is tried again."""


def program_of(job: Job, task: Task, reason: str) -> str:
    """The program that a failure is put down to, as the user named it; empty where it comes from none."""
    ran: ProgramRef | None = job.spec.reducer if task.kind is TaskKind.REDUCE else job.spec.mapper_of(task.split)
    return ran.given_name if ran is not None and reason not in _NOT_OF_A_PROGRAM else ""


def with_fingerprint(job: Job, task: Task, failure: Failure) -> Failure:
    """As it is if it has one: failures in a journal of before there were fingerprints have not."""
    if failure.fingerprint:
        return failure
    made = fingerprint(
        reason=failure.reason,
        program=failure.program or program_of(job, task, failure.reason),
        message=failure.message.partition(SEARCHED)[0],
        exit_status=failure.exit_status,
        signal=failure.signal,
        stderr=failure.stderr_tail,
    )
    return replace(failure, fingerprint=made)


def failed_alike(job: Job, task: Task, attempts: Sequence[Attempt]) -> Attempt | None:
    """The attempt by which the task's program has failed in the same way for the second time, on another worker.

    Every further attempt would. But where bad records may be skipped, a map may yet succeed, and one that has given an
    output before, which was lost, may so again.
    """
    if task.kind is not TaskKind.REDUCE and (job.spec.max_bad_records or any(map(_had_output, attempts))):
        return None
    first_on: dict[str, str] = {}  # by fingerprint, the worker
    for attempt in attempts:
        failure = attempt.failure
        if attempt.status is AttemptStatus.FAILED and failure is not None and _may_be_determined(failure):
            worker = known_as(attempt.worker)
            if first_on.setdefault(failure.fingerprint, worker) != worker:
                return attempt
    return None


def _had_output(attempt: Attempt) -> bool:
    """Of a map's attempt."""
    failure = attempt.failure
    return attempt.status is AttemptStatus.LOST and failure is not None and failure.reason == errors.FetchFailed.reason


def _may_be_determined(failure: Failure) -> bool:
    return failure.reason in _OF_A_PROGRAM and failure.signal != SIGKILL


def seeks_bad_record(job: Job, task: Task) -> bool:
    """Whether the task's next attempt, should it fail too, looks for a record on which its program does.

    That takes a while, and so comes only with the second failure, once for each cause. Where bad records are skipped,
    a skipping attempt finds them all.
    """
    if task.kind is not TaskKind.MAP or job.spec.max_bad_records:
        return False
    failures = [attempt.failure for attempt in task.attempts if attempt.status is AttemptStatus.FAILED]
    return any(
        failure is not None and failure.reason in SOUGHT_REASONS and group_of(job, failure).bad_record is None
        for failure in failures
    )


def note_failure(queue: JobQueue, task: Task, attempt: Attempt, failure: Failure, at_ms: int) -> None:
    """Count an attempt that has failed, as it is in `task.attempts` already, in the group of its cause.

    `failure` has a fingerprint.
    """
    job = queue.job
    key = _group_key(job, failure.fingerprint)
    group = job.failures.get(key)
    workers = queue.failed_workers.setdefault(key, {})
    if len(workers) < MAX_COUNTED_WORKERS:
        workers[known_as(attempt.worker)] = None
    if group is None:
        job.failures[key] = _new_group(key, job, task, attempt, failure, at_ms)
        return
    job.failures[key] = replace(
        group,
        last_ms=at_ms,
        attempts=group.attempts + 1,
        tasks=group.tasks + (not _failed_so_before(job, task, attempt, key)),
        workers=len(workers),
        bad_record=group.bad_record or failure.bad_record,
    )


def group_of(job: Job, failure: Failure) -> FailureGroup:
    """The group in which a failure with a fingerprint has been counted."""
    return job.failures[_group_key(job, failure.fingerprint)]


def _group_key(job: Job, fingerprint_: str) -> str:
    known = fingerprint_ in job.failures
    return fingerprint_ if known or len(job.failures) < MAX_FAILURE_GROUPS else OTHER


def _failed_so_before(job: Job, task: Task, attempt: Attempt, key: str) -> bool:
    return any(
        other is not attempt
        and other.status is AttemptStatus.FAILED
        and other.failure is not None
        and _group_key(job, other.failure.fingerprint) == key
        for other in task.attempts
    )


def _new_group(key: str, job: Job, task: Task, attempt: Attempt, failure: Failure, at_ms: int) -> FailureGroup:
    if key == OTHER:
        message = f"failures beyond the first {MAX_FAILURE_GROUPS} different ones; `apollo logs` has what they say"
        return FailureGroup(OTHER, OTHER, message, attempt.id, first_ms=at_ms, last_ms=at_ms)
    piece = task.split.pieces[0] if task.split is not None and task.split.pieces else None
    return FailureGroup(
        key,
        failure.reason,
        failure.message[:MAX_MESSAGE_CHARACTERS],
        attempt.id,
        first_ms=at_ms,
        last_ms=at_ms,
        program=failure.program or program_of(job, task, failure.reason),
        exit_status=failure.exit_status,
        signal=failure.signal,
        lines=telling_lines(failure.stderr_tail).lines,
        input=piece.url if piece is not None else "",
        offset=piece.offset if piece is not None else 0,
        bad_record=failure.bad_record,
    )
