"""What must be true: of each decision, of the state that a restart brings back, and of the world when a run is over.

Each check knows one rule. What they judge by is what the world outside has seen, wherever that can be.
"""

import asyncio
import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from apollo_common.assignment import Split
from apollo_common.ids import AttemptId, job_of
from apollo_common.key_samples import unpack_keys
from apollo_coordinator.core import commands, facts
from apollo_coordinator.core.model import Job, JobStatus
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.core.state import State
from apollo_coordinator.order import BadRecord
from simulation.cluster import Cluster
from simulation.journal_rules import Story
from simulation.programs import bad_records, mapped, oracle
from simulation.rules import require
from simulation.store import SUCCESS, FaultyStore
from support.scheduling import durable_view

CAUSES: Mapping[str, tuple[str, ...]] = {
    "program_exited": ("failing_program", "bad_worker"),
    "storage_unavailable": ("call_fails", "lost_answer", "store_down"),
    "output_not_writable": ("refused_output", "removed_finished_upload"),
    "object_not_found": ("refused_input",),
    "volume_full": ("full_volume",),
    "upload_lost": ("removed_upload",),
    "fetch_failed": ("corrupt_segment", "unreadable_segment"),
    "worker_drained": ("drained_worker",),
    "worker_unreachable": (
        "drained_worker",
        "killed_worker",
        "cut_off_worker",
        "flapping_worker",
        "hung_worker",
        "broken_stream",
        "late_message",
        "late_pool_event",
        "crash",
    ),
}
"""By reason of failure, the faults that may bring it about."""


def nothing_is_sent_to_a_lost_worker(state: State, asked: Iterable[commands.Command]) -> None:
    for command in asked:
        if isinstance(command, commands.RunAttempt | commands.OpenOutput | commands.AttachAttempt):
            worker = state.workers.get(command.worker)
            fit = worker is not None and not worker.quarantined
            require(fit, nothing_is_sent_to_a_lost_worker, command)


def the_journal_tells_the_state(folded: State, live: State) -> None:
    archived = [job.id for job in live.jobs.values() if not live.has_tasks(job)]
    same = durable_view(folded, archived) == durable_view(live, archived)
    require(same, the_journal_tells_the_state, "a restart would bring back another state")


def every_job_is_cleaned_up(state: State) -> None:
    require(not state.queues, every_job_is_cleaned_up, list(state.queues))


def every_job_ended(jobs: Iterable[Job]) -> None:
    unfinished = [f"{job.id} {job.status} {job.trouble}" for job in jobs if not job.status.ended]
    require(not unfinished, every_job_ended, f"faults have stopped, yet these jobs go on: {unfinished}")


def every_submission_is_one_job(jobs: Iterable[Job], keys: Sequence[str], unanswered: Sequence[JobSpec]) -> None:
    """Also of those that were sent again because the coordinator died before it answered."""
    refused = [spec.idempotency_key for spec in unanswered]
    require(not refused, every_submission_is_one_job, f"the coordinator is sound, and yet takes none of {refused}")
    made = sorted(job.spec.idempotency_key for job in jobs)
    require(made == sorted(keys), every_submission_is_one_job, f"{made} of {keys}")


def output_is_exact(
    jobs: Iterable[Job], story: Story, inputs: Mapping[str, Sequence[Split]], store: FaultyStore
) -> None:
    """Byte for byte what one process computes, and nothing beside it but a `_SUCCESS` that tells the truth."""
    by_id = {job.id: job for job in jobs}
    commits = [by_id[fact.job] for fact in story if isinstance(fact, facts.CommitStarted)]
    for job in {job.spec.output_path: job for job in commits}.values():  # the last one at each output
        if job.status is JobStatus.SUCCEEDED:
            expected = oracle(_splits(job.spec, inputs), job.spec.n_reducers, _splitters(job, story))
            found = store.objects(job.spec.output_path)
            manifest = json.loads(found.pop(SUCCESS, b"{}"))
            require(found == expected, output_is_exact, f"{job.id}: {found} is not {expected}")
            told = {part["name"]: (part["size"], part["sha256"]) for part in manifest.get("parts", [])}
            true = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in expected.items()}
            require((manifest.get("job"), told) == (job.id, true), output_is_exact, f"{job.id}: {manifest}")


def _splitters(job: Job, story: Story) -> list[bytes] | None:
    """Those that the journal has, or none under the range partitioner for one reducer."""
    if job.spec.partitioner != "range":
        return None
    chosen = [fact for fact in story if isinstance(fact, facts.SplittersChosen) and fact.job == job.id]
    return unpack_keys(base64.b64decode(chosen[0].splitters)) if chosen else []


def counters_are_exact(jobs: Iterable[Job], inputs: Mapping[str, Sequence[Split]]) -> None:
    """Nothing that was repeated is counted twice."""
    for job in jobs:
        if job.status is JobStatus.SUCCEEDED:
            records = sum(len(mapped(split)) for split in _splits(job.spec, inputs))
            told = job.counters.get("apollo", {}).get("input_records", 0)
            require(told == records, counters_are_exact, f"{job.id} read {told} of {records} records")


def bad_records_are_kept_once(
    jobs: Iterable[Job], inputs: Mapping[str, Sequence[Split]], kept: Mapping[AttemptId, Mapping[int, BadRecord]]
) -> None:
    """All that a job has skipped, in order of its tasks, and nothing of attempts that were not accepted."""
    for job in jobs:
        if job.status is JobStatus.SUCCEEDED:
            expected = [content for split in _splits(job.spec, inputs) for content in bad_records(job.spec, split)]
            found = [
                kept[attempt][number].content
                for attempt in sorted(kept)
                if job_of(attempt) == job.id
                for number in sorted(kept[attempt])
            ]
            require(found == expected, bad_records_are_kept_once, f"{job.id}: {found} is not {expected}")
            told = job.counters.get("apollo", {}).get("bad_records", 0)
            require(told == len(expected), bad_records_are_kept_once, f"{job.id} counts {told}")


def _splits(spec: JobSpec, inputs: Mapping[str, Sequence[Split]]) -> list[Split]:
    return [split for path in spec.input_paths for split in inputs[path]]


def old_output_is_untouched(
    jobs: Sequence[Job], story: Story, before: Mapping[str, Mapping[str, bytes]], store: FaultyStore
) -> None:
    """By jobs that ended before their commits began."""
    committed = {fact.job for fact in story if isinstance(fact, facts.CommitStarted)}
    spoilt = {job.spec.output_path for job in jobs if job.id in committed}
    for job in jobs:
        if job.spec.output_path not in spoilt:
            found = store.objects(job.spec.output_path)
            require(
                found == before.get(job.spec.output_path, {}), old_output_is_untouched, f"{job.id}: {sorted(found)}"
            )


def success_marks_a_whole_output(store: FaultyStore) -> None:
    """At every moment, to every reader."""
    require(not store.torn, success_marks_a_whole_output, store.torn)


def failures_have_a_cause(jobs: Iterable[Job], cluster: Cluster) -> None:
    """Among the faults that were played, and for a program: as often as its job lets it fail, or twice alike."""
    for job in jobs:
        failure = job.failure
        if failure is None or job.status is not JobStatus.FAILED or failure.reason == "job_timeout":
            continue  # a timeout may be short without any fault; journal_rules looks at it
        causes = CAUSES.get(failure.reason, ())
        told = f"{job.id}: {failure}"
        require(any(cluster.faults.fired[kind] for kind in causes), failures_have_a_cause, told)
        if failure.reason == "program_exited":
            times = cluster.failed_programs[failure.task]
            spent = times.total() >= job.spec.max_attempts or max(times.values()) >= 2
            require(spent, failures_have_a_cause, f"{told}, after {times} failures by exit status")


def stops_were_asked_for(jobs: Iterable[Job], asked: Iterable[str]) -> None:
    for job in jobs:
        require(job.status is not JobStatus.STOPPED or job.id in asked, stops_were_asked_for, job.id)


def only_the_named_maps_run_again(story: Story, unreadable: Mapping[AttemptId, int]) -> None:
    for fact in story:
        if isinstance(fact, facts.MapOutputLost):
            require(unreadable.get(fact.attempt), only_the_named_maps_run_again, fact)


def workers_are_treated_well(cluster: Cluster) -> None:
    """One attempt at a time, nothing once they were given up, and nothing that the journal does not know."""
    require(not cluster.violations, workers_are_treated_well, cluster.violations)


def nothing_is_left(jobs: Iterable[Job], cluster: Cluster, secrets: Mapping[object, object]) -> None:
    """Nor of an upload whose beginning a crash or a lost answer kept from the journal."""
    uploads = cluster.store.open_uploads()
    require(not uploads, nothing_is_left, f"uploads that nobody completes or aborts: {uploads}")
    require(not secrets, nothing_is_left, f"secrets of ended jobs: {list(secrets)}")
    kept = {job.id for job in jobs if job.spec.keep_intermediate}
    data = [path for path in cluster.volume if path.partition("/")[0] not in kept]
    require(not data, nothing_is_left, f"map outputs of ended jobs: {data}")


def no_task_is_left() -> None:
    """Of the engine, the pool or a worker: all are closed."""
    left = sorted(task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task())
    require(not left, no_task_is_left, left)
