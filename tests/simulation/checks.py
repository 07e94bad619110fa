"""What must be true when a run is over. Each check knows one rule."""

from apollo_coordinator.core.model import AttemptStatus, Job, JobStatus
from simulation.cluster import Cluster, FlakyOutput, WatchedWorker, oracle


def every_job_ended(jobs: list[Job]) -> None:
    unfinished = [f"{job.id} {job.status}" for job in jobs if not job.status.ended]
    assert not unfinished, f"faults have stopped, yet these jobs never end: {unfinished}"


def output_is_exact(jobs: list[Job], output: FlakyOutput) -> None:
    """Published by jobs that succeeded, byte for byte what one process computes; by others nothing at all."""
    expected: dict[str, bytes] = {}
    for job in jobs:
        if job.status is JobStatus.SUCCEEDED:
            expected |= oracle(job.spec, [task.split for task in job.maps if task.split is not None])
    wrong = [url for url in sorted(expected | output.content) if expected.get(url) != output.content.get(url)]
    assert not wrong, f"not what one process computes: {wrong}"


def failures_have_a_cause(jobs: list[Job], cluster: Cluster) -> None:
    for job in jobs:
        if job.status is JobStatus.FAILED:
            assert job.failure is not None
            told = f"{job.id}: {job.failure}"
            assert job.failure.reason in ("program_exited", "storage_unavailable"), told
            assert cluster.failed_programs or job.failure.reason != "program_exited", told


def one_attempt_is_accepted(jobs: list[Job]) -> None:
    for job in jobs:
        for task in (*job.maps, *job.reduces):
            succeeded = [a.id for a in task.attempts if a.status is AttemptStatus.SUCCEEDED]
            assert len(succeeded) <= 1, task.id
            assert job.status is not JobStatus.SUCCEEDED or succeeded == [task.accepted], task.id


def nothing_runs_twice_or_too_late(workers: list[WatchedWorker]) -> None:
    violations = [violation for worker in workers for violation in worker.violations]
    assert not violations, violations


def nothing_is_left(output: FlakyOutput, secrets: dict[object, object]) -> None:
    assert not output.uploads, f"uploads that nobody completes or aborts: {output.uploads}"
    assert not secrets, f"secrets of ended jobs: {list(secrets)}"
