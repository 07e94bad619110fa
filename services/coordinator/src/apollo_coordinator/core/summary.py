"""An ended job without its tasks: what is kept at hand of jobs that nobody may ask for again.

Made by folding the job's facts, and so never more than they are: the tasks come from the facts again when asked for.
"""

from dataclasses import dataclass

from apollo_common.assignment import Counters
from apollo_common.ids import JobId
from apollo_common.timings import NO_TIMINGS, Timings
from apollo_coordinator.core.model import Failure, FailureGroup, Job, JobStatus, TaskTotals
from apollo_coordinator.core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class JobSummary:
    job: JobId
    spec: JobSpec
    created_ms: int
    status: JobStatus
    started_ms: int | None
    ended_ms: int
    planned: bool
    counters: Counters
    totals: TaskTotals
    failure: Failure | None = None
    speculative_attempts: int = 0
    speculative_won: int = 0
    map_timings: Timings = NO_TIMINGS
    reduce_timings: Timings = NO_TIMINGS
    failures: tuple[FailureGroup, ...] = ()


def summarise(job: Job) -> JobSummary:
    """ValueError while the job has not ended."""
    if job.ended_ms is None:
        raise ValueError(f"job {job.id} has not ended")
    return JobSummary(
        job.id,
        job.spec,
        job.created_ms,
        job.status,
        job.started_ms,
        job.ended_ms,
        job.planned,
        job.counters,
        job.totals or task_totals(job),
        job.failure,
        job.speculative_attempts,
        job.speculative_won,
        job.map_timings,
        job.reduce_timings,
        tuple(job.failures.values()),
    )


def restored(summary: JobSummary) -> Job:
    """The job, with no tasks at hand."""
    return Job(
        summary.job,
        summary.spec,
        summary.created_ms,
        status=summary.status,
        started_ms=summary.started_ms,
        ended_ms=summary.ended_ms,
        planned=summary.planned,
        failure=summary.failure,
        counters=summary.counters,
        map_timings=summary.map_timings,
        reduce_timings=summary.reduce_timings,
        totals=summary.totals,
        speculative_attempts=summary.speculative_attempts,
        speculative_won=summary.speculative_won,
        failures={group.fingerprint: group for group in summary.failures},
    )


def task_totals(job: Job) -> TaskTotals:
    """Of a job whose tasks are at hand."""
    return TaskTotals(len(job.maps), job.map_tally.completed, len(job.reduces), job.reduce_tally.completed)
