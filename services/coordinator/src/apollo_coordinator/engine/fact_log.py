"""The coordinator's log of its jobs: what goes wrong with attempts, and how jobs end, once it is journaled."""

from apollo_common.logging import get_logger
from apollo_coordinator.core import facts
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.core.state import task_of

_log = get_logger(__name__)

_SETBACKS = {
    facts.AttemptFailed: "attempt failed",
    facts.AttemptLost: "attempt lost",
    facts.MapOutputLost: "map output lost",
}


def log_fact(fact: facts.DurableFact) -> None:
    """Log what an operator looks for when a job is in trouble, with the ids that lead on; the rest is routine."""
    match fact:
        case facts.AttemptStarted(speculative=True):
            _log.info("backup attempt started", job=fact.job, task=task_of(fact.attempt), attempt=fact.attempt)
        case facts.AttemptFailed() | facts.AttemptLost() | facts.MapOutputLost():
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
