"""The bounds that scheduling keeps to. Values are given, never read from the environment here."""

from dataclasses import dataclass

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """Operators may change these; the defaults suit a cluster of some thousand workers."""

    max_unfinished_jobs: int = 1_000  # more are refused
    max_running_jobs: int = 100  # more wait their turn
    queue_ageing_ms: int = 600_000  # in the queue a job gains a step of priority for each
    max_tasks_per_job: int = 100_000
    max_running_tasks: int = 1_000_000  # of all running jobs; above it no further job starts
    max_ended_tasks_at_hand: int = 200_000  # of archived jobs; those of others are folded when asked for
    max_workers_per_job: int = 10_000
    max_lost_attempts: int = 20  # per task: attempts that ended without the program's fault
    max_handed_back_attempts: int = 100  # per task: attempts whose workers were told to end, as by evictions
    retry_delay_ms: int = 200  # before the second attempt; doubles with each
    max_retry_delay_ms: int = 30_000
    avoid_worker_ms: int = 10_000  # how long a task waits for another worker than one that it failed on
    volume_full_pause_ms: int = 15_000  # no new attempts of a job that met a full volume; doubles while it stays full
    max_volume_full_pause_ms: int = 60_000
    quarantine_after_tasks: int = 3  # different tasks that failed in a row on one worker
    quarantine_after_losses: int = 3  # attempts that were lost in a row on one worker
    quarantine_ms: int = 600_000  # for a worker that comes back
    backup_after_ms: int = 5_000  # how long an attempt runs before it may count as a straggler
    straggler_search_ms: int = 1_000  # between searches for the stragglers of one job
    max_backup_percent: int = 10  # of a job's running attempts, one always
    max_backups_per_task: int = 2
    reattach_grace_ms: int = 10_000  # after a restart, for workers to come back with what they run
    retention_ms: int = 30 * DAY_MS  # of ended jobs
