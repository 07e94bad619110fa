"""How patient the engine is. Parsed elsewhere; handed in by the composition root."""

from dataclasses import dataclass, field

from apollo_common.backoff import Backoff
from apollo_coordinator.core.limits import Limits


@dataclass(frozen=True, slots=True)
class EngineSettings:
    limits: Limits = field(default_factory=Limits)
    tick_ms: int = 200  # how late a timer may fire
    progress_interval_ms: int = 500  # between progress events of one reader
    close_seconds: float = 5.0  # for what has gathered to be journaled; what is not is learnt anew by the next engine
    release_seconds: float = 10.0  # how long a submission waits for the clean-up of an ended job at its output
    end_told_seconds: float = 10.0  # for the pool to tell how a worker ended, before its attempt counts as lost
    renew_seconds: float = 60.0  # between looks at lent credentials; they last for minutes longer
    sweep_seconds: float = 3600.0  # between looks for what dead jobs left; listing a bucket costs a call for each job
    events_page: int = 500  # facts that are read from the journal at a time
    max_parallel_storage_calls: int = 32  # plans, opened parts, commits and clean-ups under way
    max_parallel_worker_calls: int = 256  # cancels, descriptions and pool calls under way
    journal_backoff: Backoff = field(default_factory=lambda: Backoff(first_ms=500, limit_ms=10_000))
    access_backoff: Backoff = field(default_factory=lambda: Backoff(first_ms=500, limit_ms=15_000))
    quarantine_backoff: Backoff = field(default_factory=lambda: Backoff(first_ms=500, limit_ms=10_000))
    plan_backoff: Backoff = field(default_factory=lambda: Backoff(first_ms=500, limit_ms=15_000, tries=8))
    open_backoff: Backoff = field(default_factory=lambda: Backoff(first_ms=200, limit_ms=5_000, tries=6))
    commit_backoff: Backoff = field(default_factory=lambda: Backoff(first_ms=500, limit_ms=30_000))
    # For about a quarter of an hour: uploads that it leaves behind cost their owner money.
    cleanup_backoff: Backoff = field(default_factory=lambda: Backoff(first_ms=1_000, limit_ms=30_000, tries=45))
    pool_backoff: Backoff = field(default_factory=lambda: Backoff(first_ms=500, limit_ms=15_000))
