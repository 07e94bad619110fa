"""The coordinator's log of its jobs: what goes wrong with attempts, and how jobs end, once it is journaled.

Of attempts that fail alike one is told, then every tenth power of how many there are, not each.
"""

import re

from apollo_common.ids import AttemptId, job_of
from apollo_common.logging import get_logger
from apollo_coordinator.core import facts
from apollo_coordinator.core.model import FailureGroup, JobStatus
from apollo_coordinator.core.state import task_of

_log = get_logger(__name__)

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


def log_failure(attempt: AttemptId, group: FailureGroup) -> None:
    """Log the attempt that has just failed, if it is the first, 10th, 100th, ... of its group."""
    if not _TENTH_POWER.fullmatch(str(group.attempts)):
        return
    _log.warning(
        "attempt failed" if group.attempts == 1 else "attempts fail alike",
        job=job_of(attempt),
        task=task_of(attempt),
        attempt=attempt,
        reason=group.reason,
        error=group.message,
        fingerprint=group.fingerprint,
        attempts=group.attempts,
        tasks=group.tasks,
        workers=group.workers,
    )
