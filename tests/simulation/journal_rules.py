"""Rules over everything that was journaled, from the first fact to the last. Each reads facts only, not the core."""

from collections import Counter
from collections.abc import Sequence

from apollo_common.ids import AttemptId, JobId, TaskId, WorkerId, job_of
from apollo_coordinator.core import facts
from apollo_coordinator.core.adoption import AdoptedOutput
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.core.spec import JobSpec
from simulation.rules import require

HANDED_BACK = "worker_drained"
"""By a worker that was told to end: that uses up nothing."""

EXCUSED = ("storage_unavailable", "upload_lost", "worker_busy")
"""Failures by nobody's fault: they are bounded as lost attempts are."""

WAITING = "volume_full"
"""The job waits for room, which uses up nothing."""

ENDS = (facts.AttemptAccepted, facts.AttemptFailed, facts.AttemptLost, facts.AttemptCancelled)

Story = Sequence[facts.Fact]


def check_all(story: Story, limits: Limits) -> None:
    one_attempt_is_accepted(story)
    nothing_follows_the_end(story)
    maps_wait_for_splitters(story)
    reduces_wait_for_all_maps(story)
    redrives_adopt_every_map_output(story)
    unreadable_map_outputs_are_made_again(story)
    a_worker_runs_one_attempt(story)
    backups_are_single_and_allowed(story)
    jobs_keep_to_max_workers(story)
    running_jobs_are_bounded(story, limits)
    retries_are_bounded(story, limits)
    failures_alike_are_not_tried_again(story)
    jobs_get_the_time_they_were_given(story)


def one_attempt_is_accepted(story: Story) -> None:
    """Per task, at any time. Another one only after the accepted output was lost."""
    accepted: dict[TaskId, AttemptId] = {}
    for fact in story:
        if isinstance(fact, facts.AttemptAccepted):
            before = accepted.setdefault(task_of(fact.attempt), fact.attempt)
            require(before == fact.attempt, one_attempt_is_accepted, f"{fact.attempt} after {before}")
            accepted[task_of(fact.attempt)] = AttemptId("")  # nor the same one twice
        elif isinstance(fact, facts.MapOutputLost):
            accepted.pop(task_of(fact.attempt), None)


def nothing_follows_the_end(story: Story) -> None:
    """A job ends once. No attempt starts or counts after that, or once its job commits."""
    ended: set[JobId] = set()
    committing: set[JobId] = set()
    for fact in story:
        if isinstance(fact, facts.JobEnded):
            require(fact.job not in ended, nothing_follows_the_end, fact)
            published = fact.status is not JobStatus.SUCCEEDED or fact.job in committing
            require(published, nothing_follows_the_end, f"{fact} without a commit")
            ended.add(fact.job)
        elif isinstance(fact, facts.CommitStarted):
            require(fact.job not in ended | committing, nothing_follows_the_end, fact)
            committing.add(fact.job)
        elif isinstance(fact, (facts.AttemptStarted, facts.AttemptAccepted, facts.MapOutputLost)):
            require(fact.job not in ended | committing, nothing_follows_the_end, fact)


def maps_wait_for_splitters(story: Story) -> None:
    """Which are chosen once, from the samples of all samplers."""
    waited_for: Counter[JobId] = Counter()
    sampled: set[JobId] = set()
    for fact in story:
        if isinstance(fact, facts.MapsPlanned) and fact.sampled:
            waited_for[fact.job] = len(fact.sampled)
            sampled.add(fact.job)
        elif isinstance(fact, facts.AttemptAccepted) and phase_of(fact.attempt) == "s":
            waited_for[fact.job] -= 1
        elif isinstance(fact, facts.SplittersChosen):
            require(fact.job in sampled and not waited_for[fact.job], maps_wait_for_splitters, fact)
            sampled.discard(fact.job)
        elif isinstance(fact, facts.AttemptStarted) and phase_of(fact.attempt) != "s":
            require(fact.job not in sampled, maps_wait_for_splitters, fact)


def reduces_wait_for_all_maps(story: Story) -> None:
    maps: Counter[JobId] = Counter()
    done: Counter[JobId] = Counter()
    for fact in story:
        if isinstance(fact, facts.MapsPlanned):
            maps[fact.job] = len(fact.splits) - (fact.adoption.adopted if fact.adoption is not None else 0)
        elif isinstance(fact, facts.AttemptAccepted) and is_map(fact.attempt):
            done[fact.job] += 1
        elif isinstance(fact, facts.MapOutputLost):
            done[fact.job] -= 1
        elif isinstance(fact, facts.AttemptStarted) and phase_of(fact.attempt) == "r":
            require(done[fact.job] == maps[fact.job], reduces_wait_for_all_maps, fact)


def redrives_adopt_every_map_output(story: Story) -> None:
    """Of the earlier job, as they were accepted, in the order of its maps; and no other job adopts any."""
    specs = {fact.job: fact.spec for fact in story if isinstance(fact, facts.JobAccepted)}
    outputs: dict[TaskId, tuple[AttemptId, str]] = {}
    for fact in story:
        if isinstance(fact, facts.AttemptAccepted) and is_map(fact.attempt):
            outputs[task_of(fact.attempt)] = fact.attempt, fact.output.path
        elif isinstance(fact, facts.MapOutputLost):
            outputs.pop(task_of(fact.attempt), None)
        elif isinstance(fact, facts.MapsPlanned):
            spec, origins = specs[fact.job], fact.adoption.origins if fact.adoption is not None else ()
            adopted = [(each.attempt, each.path) for each in origins if isinstance(each, AdoptedOutput)]
            earlier = [outputs[task] for task in sorted(outputs) if job_of(task) == spec.redrive_of]
            require(adopted == (earlier if spec.n_reducers else []), redrives_adopt_every_map_output, fact)


def unreadable_map_outputs_are_made_again(story: Story) -> None:
    """No reduce starts while a map output that another one has named still counts."""
    accepted: set[AttemptId] = set()
    named: dict[JobId, AttemptId] = {}
    for fact in story:
        if isinstance(fact, facts.AttemptAccepted):
            accepted.add(fact.attempt)
        elif isinstance(fact, facts.MapOutputLost):
            accepted.discard(fact.attempt)
        elif isinstance(fact, facts.AttemptLost) and fact.failure.reason == "fetch_failed":
            attempt = named_in(fact.failure.message)
            if attempt in accepted and job_of(attempt) == fact.job and is_map(attempt):
                named[fact.job] = attempt
        elif isinstance(fact, facts.AttemptStarted) and phase_of(fact.attempt) == "r":
            still = named.pop(fact.job, None)
            require(still not in accepted, unreadable_map_outputs_are_made_again, f"{fact}, but {still} is unreadable")


def named_in(message: str) -> AttemptId:
    """The simulated reduces begin their complaint with the path that they cannot read; its end is the attempt."""
    return AttemptId(message.partition(" ")[0].rpartition("/")[2])


def a_worker_runs_one_attempt(story: Story) -> None:
    for busy in _running(story):
        workers = Counter(busy.values())
        twice = [worker for worker, attempts in workers.items() if attempts > 1]
        require(not twice, a_worker_runs_one_attempt, f"{twice} of {busy}")


def backups_are_single_and_allowed(story: Story) -> None:
    """A second attempt beside one that runs, in a job with speculation; never a third, nor on the same worker."""
    specs: dict[JobId, JobSpec] = {fact.job: fact.spec for fact in story if isinstance(fact, facts.JobAccepted)}
    for busy in _running(story):
        newest = next(reversed(busy))
        rivals = [attempt for attempt in busy if task_of(attempt) == task_of(newest)]
        allowed = len(rivals) == 1 or (len(rivals) == 2 and specs[job_of(newest)].speculation)
        elsewhere = len({busy[attempt] for attempt in rivals}) == len(rivals)
        require(allowed and elsewhere, backups_are_single_and_allowed, rivals)


def jobs_keep_to_max_workers(story: Story) -> None:
    specs: dict[JobId, JobSpec] = {fact.job: fact.spec for fact in story if isinstance(fact, facts.JobAccepted)}
    for busy in _running(story):
        for job, attempts in Counter(job_of(attempt) for attempt in busy).items():
            most = specs[job].max_workers
            require(not most or attempts <= most, jobs_keep_to_max_workers, f"{job} runs {attempts} on {most}")


def _running(story: Story):
    """After each attempt's start: who runs what, as far as the journal tells."""
    busy: dict[AttemptId, WorkerId] = {}
    for fact in story:
        if isinstance(fact, facts.AttemptStarted):
            busy[fact.attempt] = fact.worker
            yield busy
        elif isinstance(fact, ENDS):
            busy.pop(fact.attempt, None)
        elif isinstance(fact, facts.JobEnded):
            busy = {attempt: worker for attempt, worker in busy.items() if job_of(attempt) != fact.job}


def running_jobs_are_bounded(story: Story, limits: Limits) -> None:
    running: set[JobId] = set()
    for fact in story:
        if isinstance(fact, facts.JobStarted):
            running.add(fact.job)
            require(len(running) <= limits.max_running_jobs, running_jobs_are_bounded, sorted(running))
        elif isinstance(fact, facts.JobEnded):
            running.discard(fact.job)


def retries_are_bounded(story: Story, limits: Limits) -> None:
    """No attempt starts for a task that has used up its tries. One that ran beside the last may still end badly."""
    specs: dict[JobId, JobSpec] = {fact.job: fact.spec for fact in story if isinstance(fact, facts.JobAccepted)}
    failed: Counter[TaskId] = Counter()
    lost: Counter[TaskId] = Counter()
    handed_back: Counter[TaskId] = Counter()
    for fact in story:
        if isinstance(fact, facts.AttemptFailed) and fact.failure.reason == WAITING:
            continue
        if isinstance(fact, facts.AttemptLost) and fact.failure.reason == HANDED_BACK:
            handed_back[task_of(fact.attempt)] += 1
        elif isinstance(fact, facts.AttemptFailed) and fact.failure.reason not in EXCUSED:
            failed[task_of(fact.attempt)] += 1
            most = specs[fact.job].max_attempts + specs[fact.job].speculation
            require(failed[task_of(fact.attempt)] <= most, retries_are_bounded, f"{fact} with {most} attempts")
        elif isinstance(fact, (facts.AttemptFailed, facts.AttemptLost, facts.MapOutputLost)):
            lost[task_of(fact.attempt)] += 1
        elif isinstance(fact, facts.AttemptStarted):
            task = task_of(fact.attempt)
            require(failed[task] < specs[fact.job].max_attempts, retries_are_bounded, fact)
            require(lost[task] < limits.max_lost_attempts, retries_are_bounded, fact)
            require(handed_back[task] < limits.max_handed_back_attempts, retries_are_bounded, fact)


def failures_alike_are_not_tried_again(story: Story) -> None:
    """Of a program, with one exit status, on two workers, whatever those were called when they came back.

    A map that may skip bad records is: its next attempt looks for them. So is one that was done before.
    """
    skipping = {fact.job for fact in story if isinstance(fact, facts.JobAccepted) and fact.spec.max_bad_records}
    workers: dict[AttemptId, str] = {}
    failed: dict[TaskId, dict[int | None, set[str]]] = {}
    done_before: set[TaskId] = set()
    for fact in story:
        if isinstance(fact, facts.AttemptStarted):
            alike = [status for status, on in failed.get(task_of(fact.attempt), {}).items() if len(on) > 1]
            may_skip = fact.job in skipping and phase_of(fact.attempt) != "r"
            excused = may_skip or task_of(fact.attempt) in done_before
            require(excused or not alike, failures_alike_are_not_tried_again, f"{fact} after {alike}")
        if isinstance(fact, facts.AttemptStarted | facts.AttemptReattached):
            workers[fact.attempt] = fact.worker.partition("~")[0]
        elif isinstance(fact, facts.AttemptFailed) and fact.failure.reason == "program_exited":
            by_status = failed.setdefault(task_of(fact.attempt), {})
            by_status.setdefault(fact.failure.exit_status, set()).add(workers[fact.attempt])
        elif isinstance(fact, facts.MapOutputLost):
            done_before.add(task_of(fact.attempt))


def jobs_get_the_time_they_were_given(story: Story) -> None:
    """Only a job with a timeout fails by it, and not before."""
    specs: dict[JobId, JobSpec] = {fact.job: fact.spec for fact in story if isinstance(fact, facts.JobAccepted)}
    started: dict[JobId, int] = {}
    for fact in story:
        if isinstance(fact, facts.JobStarted):
            started[fact.job] = fact.at_ms
        elif isinstance(fact, facts.JobEnded) and fact.failure is not None and fact.failure.reason == "job_timeout":
            given_ms = specs[fact.job].job_timeout_seconds * 1000
            over = given_ms and fact.at_ms - started[fact.job] >= given_ms
            require(over, jobs_get_the_time_they_were_given, fact)


def task_of(attempt: AttemptId) -> TaskId:
    return TaskId(attempt.rpartition("-")[0])


def phase_of(attempt: AttemptId) -> str:
    """s: sample, m: map, r: reduce."""
    return attempt.split("-")[1]


def is_map(attempt: AttemptId) -> bool:
    return phase_of(attempt) == "m"
