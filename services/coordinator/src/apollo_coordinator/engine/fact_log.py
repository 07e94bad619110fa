"""The coordinator's log of its jobs: what goes wrong with attempts, and how jobs end.

Of attempts that fail alike one is told, then every tenth power of how many there are, not each; in the end of a job
that failed, how many there were.
"""

import re
from collections.abc import Mapping

from apollo_common.ids import AttemptId, JobId, job_of
from apollo_common.logging import get_logger
from apollo_coordinator.core import facts
from apollo_coordinator.core.failures import group_of
from apollo_coordinator.core.model import FailureGroup, Job, JobStatus
from apollo_coordinator.core.state import task_of

_log = get_logger(__name__)

MAX_CAUSES = 3  # of a job that failed
MAX_PREVIEW_CHARACTERS = 100

_TENTH_POWER = re.compile("10*")
_SETBACKS = {
    facts.AttemptLost: "attempt lost",
    facts.MapOutputLost: "map output lost",
}


def log_fact(fact: facts.DurableFact) -> None:
    """Log what an operator looks for when a job is in trouble, with the ids that lead on; the rest is routine."""
    match fact:
        case facts.AttemptStarted(speculative=True):
            _log.info("backup attempt started", job=fact.job, task=task_of(fact.attempt), attempt=fact.attempt)
        case facts.AttemptLost() | facts.MapOutputLost():
            _log.warning(
                _SETBACKS[type(fact)],
                job=fact.job,
                task=task_of(fact.attempt),
                attempt=fact.attempt,
                reason=fact.failure.reason,
                error=fact.failure.message,
            )
        case facts.JobEnded(status=JobStatus.FAILED, failure=failure) if failure is not None:
            _log.warning("job failed", job=fact.job, reason=failure.reason, error=failure.message)
        case facts.JobEnded():
            _log.info("job ended", job=fact.job, status=fact.status.value)


def log_causes(fact: facts.Fact, jobs: Mapping[JobId, Job]) -> None:
    """Log why attempts fail, as soon as they do. `jobs`: as they are with the fact."""
    match fact:
        case facts.AttemptFailed():
            _one_more(fact.attempt, group_of(jobs[fact.job], fact.failure))
        case facts.JobEnded(status=JobStatus.FAILED):
            _in_the_end(jobs[fact.job])


def _one_more(attempt: AttemptId, group: FailureGroup) -> None:
    """The first, 10th, 100th, ... of its group is told."""
    if _TENTH_POWER.fullmatch(str(group.attempts)):
        _tell("attempt failed" if group.attempts == 1 else "attempts fail alike", attempt, group)


def _in_the_end(job: Job) -> None:
    """What attempts failed by, more than one alike: the causes by which the most did."""
    alike = [group for group in job.failures.values() if group.attempts > 1]
    for group in sorted(alike, key=lambda group: -group.attempts)[:MAX_CAUSES]:
        _tell("attempts failed alike", group.attempt, group)


def _tell(event: str, attempt: AttemptId, group: FailureGroup) -> None:
    found = group.bad_record
    record = f"{found.preview[:MAX_PREVIEW_CHARACTERS]!r} at byte {found.offset} of {found.input}" if found else ""
    _log.warning(
        event,
        job=job_of(attempt),
        task=task_of(attempt),
        attempt=attempt,
        reason=group.reason,
        error=group.message,
        fingerprint=group.fingerprint,
        attempts=group.attempts,
        tasks=group.tasks,
        workers=group.workers,
        lines=" | ".join(group.lines),
        record=record,
    )
