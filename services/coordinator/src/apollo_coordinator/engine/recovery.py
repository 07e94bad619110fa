"""The state after a restart: summaries of archived jobs, and every fact of the others, folded in their order."""

from collections import deque
from collections.abc import Callable

from apollo_common.logging import get_logger
from apollo_coordinator.core import facts
from apollo_coordinator.core.apply import apply
from apollo_coordinator.core.codec import UnreadableFact, decode, decode_summary
from apollo_coordinator.core.state import State
from apollo_coordinator.ports import Journal, StoredFact, StoredSummary

_log = get_logger(__name__)


async def recover(
    journal: Journal,
    state: State,
    *,
    restored: Callable[[StoredSummary], None],
    folded: Callable[[facts.DurableFact, StoredFact], None],
) -> None:
    """Jobs come in order of their creation, which a job with a summary has from its first fact. UnreadableFact."""
    ended = deque([summary async for summary in journal.read_ended()])
    count = 0

    def restore_until(sequence: float) -> None:
        while ended and ended[0].sequence < sequence:
            summary = ended.popleft()
            apply(state, facts.JobRestored(0, decode_summary(summary.body)))
            restored(summary)

    async for stored in journal.read_open():
        restore_until(stored.sequence)
        folded(fold(state, stored), stored)
        count += 1
    restore_until(float("inf"))
    _log.info("journal read", facts=count, jobs=len(state.jobs), unfinished=state.unfinished_jobs)


def fold(state: State, stored: StoredFact) -> facts.DurableFact:
    """Apply one fact of the journal. UnreadableFact, naming it, when it cannot be read or cannot follow the others."""
    try:
        fact = decode(stored.kind, stored.body, job=stored.job, at_ms=stored.at_ms)
        apply(state, fact)
    except UnreadableFact:
        raise
    except Exception as error:  # whatever damage there is, it must not end in a traceback
        raise UnreadableFact(
            f"fact {stored.sequence} of the journal ({stored.kind} of job {stored.job}) is damaged "
            f"({type(error).__name__}: {error}): restore the data directory from a backup"
        ) from error
    return fact
