"""Bugs to plant: each changes one function of the coordinator, as a mistake might. The simulation finds them all."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from apollo_common.errors import VolumeFull
from apollo_common.ids import AttemptId, WorkerId, job_of
from apollo_coordinator.core import admission, commands, events, facts, scheduler
from apollo_coordinator.core import apply as applying
from apollo_coordinator.core.indexes import make_idle
from apollo_coordinator.core.model import Departure, JobStatus, TaskStatus, TaskTally
from apollo_coordinator.core.state import JobQueue, State, locate
from apollo_coordinator.engine import orders
from apollo_coordinator.engine.quarantine import Quarantine
from apollo_coordinator.engine.recorder import Recorder
from apollo_coordinator.order import BadRecord
from apollo_coordinator.store.commit import StoredOutput

Plant = Callable[[pytest.MonkeyPatch], None]


class Bug(NamedTuple):
    part: str  # that must find it
    plant: Plant
    rules: tuple[str, ...]  # any of them may be the first to speak


def swap(patch: pytest.MonkeyPatch, name: str, make: Callable[[Any], Any]) -> None:
    """Put `make(function)` in the place of one of the core's functions, wherever in the core it is called from."""
    modules = [module for key, module in sys.modules.items() if key.startswith("apollo_coordinator.core.")]
    users = [module for module in modules if name in vars(module)]
    changed = make(vars(users[0])[name])
    for module in users:
        patch.setattr(module, name, changed)


def decide(patch: pytest.MonkeyPatch, event: type, make: Callable[[Any], Any]) -> None:
    """Put `make(decision)` in the place of what is decided upon an event."""
    patch.setitem(scheduler._DECIDE, event, make(scheduler._DECIDE[event]))


def a_second_attempt_is_accepted(patch: pytest.MonkeyPatch) -> None:
    """A late rival's result counts, too, and the transition table lists everything."""

    def with_rivals(done: Any) -> Any:
        def both(state: State, event: events.AttemptDone, now_ms: int, out: Any) -> None:
            done(state, event, now_ms, out)
            queue = state.queues.get(job_of(event.attempt))
            if queue is not None and queue.job.status is JobStatus.RUNNING:
                place = locate(event.attempt)
                task = queue.job.tasks_of(place.kind)[place.task_index]
                if task.accepted not in (None, event.attempt):
                    out.facts.append(facts.AttemptAccepted(now_ms, event.attempt, task.output, event.counters))

        return both

    decide(patch, events.AttemptDone, with_rivals)
    swap(patch, "moved", lambda _: lambda _table, _old, _fact, new, _subject: new)


def the_attempt_of_a_lost_worker_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    def only_the_worker(state: State, event: events.WorkerLeft, now_ms: int, out: Any) -> None:
        if event.worker in state.workers:
            out.facts.append(facts.WorkerRemoved(now_ms, event.worker, Departure.GONE))

    decide(patch, events.WorkerLeft, lambda _: only_the_worker)


def the_loser_of_a_race_is_left_alone(patch: pytest.MonkeyPatch) -> None:
    def without_cancels(done: Any) -> Any:
        def careless(state: State, event: events.AttemptDone, now_ms: int, out: Any) -> None:
            done(state, event, now_ms, out)
            out.facts[:] = [fact for fact in out.facts if not isinstance(fact, facts.AttemptCancelled)]
            out.commands[:] = [c for c in out.commands if not isinstance(c, commands.CancelAttempt)]

        return careless

    decide(patch, events.AttemptDone, without_cancels)


def a_timeout_counts_from_the_submission(patch: pytest.MonkeyPatch) -> None:
    started = applying._APPLY[facts.JobStarted]

    def backdated(state: State, fact: facts.JobStarted) -> None:
        started(state, replace(fact, at_ms=state.jobs[fact.job].created_ms))

    patch.setitem(applying._APPLY, facts.JobStarted, backdated)


def one_attempt_too_many(patch: pytest.MonkeyPatch) -> None:
    swap(patch, "counted_failures", lambda counted: lambda task: max(0, counted(task) - 1))


def map_outputs_are_listed_as_they_were_done(patch: pytest.MonkeyPatch) -> None:
    ordered = orders.OrderBook._outputs_of_maps

    def by_time(book: Any, queue: Any) -> Any:
        ended = {task.id: task.ended_ms for task in queue.job.maps}
        return tuple(sorted(ordered(book, queue), key=lambda ref: ended[ref.task]))

    patch.setattr(orders.OrderBook, "_outputs_of_maps", by_time)


def commands_run_before_their_facts_are_journaled(patch: pytest.MonkeyPatch) -> None:
    record = Recorder.record

    def at_once(recorder: Recorder, new_facts: Any, new_commands: Any) -> None:
        record(recorder, new_facts, [])
        for command in new_commands:
            recorder._dispatch(command)

    patch.setattr(Recorder, "record", at_once)


def a_restart_forgets_what_ran(patch: pytest.MonkeyPatch) -> None:
    def as_new(joined: Any) -> Any:
        def forgetful(state: State, event: events.WorkerJoined, now_ms: int, out: Any) -> None:
            state.orphans.clear()
            joined(state, replace(event, attempt=None), now_ms, out)

        return forgetful

    decide(patch, events.WorkerJoined, as_new)


def a_commit_is_not_finished_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    def without_commits(restarted: Any) -> Any:
        def forgetful(state: State, event: events.Restarted, now_ms: int, out: Any) -> None:
            restarted(state, event, now_ms, out)
            out.commands[:] = [c for c in out.commands if not isinstance(c, commands.CommitOutput)]

        return forgetful

    decide(patch, events.Restarted, without_commits)


def a_request_sent_again_is_another_job(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(admission, "submitted_before", lambda *_: None)


def a_worker_is_booked_twice(patch: pytest.MonkeyPatch) -> None:
    def and_idle(occupy: Any) -> Any:
        def forgetful(state: State, worker: WorkerId, attempt: AttemptId) -> None:
            occupy(state, worker, attempt)
            if worker in state.workers and attempt.endswith("1-0"):
                make_idle(state, worker)

        return forgetful

    swap(patch, "occupy", and_idle)


def maps_do_not_wait_for_splitters(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(JobQueue, "sampling", False)


def unreadable_map_outputs_are_not_made_again(patch: pytest.MonkeyPatch) -> None:
    swap(patch, "_lose_map_output", lambda _: lambda *_: None)


def success_is_written_first(patch: pytest.MonkeyPatch) -> None:
    commit = StoredOutput.commit

    async def hasty(output: StoredOutput, job: Any, access: Any) -> None:
        _, store = await output._open(job.spec, access)
        await store.put(f"{job.spec.output_path}/_SUCCESS", b'{"parts": [{"name": "part-r-00000", "sha256": ""}]}')
        await commit(output, job, access)

    patch.setattr(StoredOutput, "commit", hasty)


def uploads_of_stopped_jobs_are_left(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any) -> None:
        pass

    patch.setattr(StoredOutput, "discard", nothing)


def tasks_that_have_ended_count_as_running(patch: pytest.MonkeyPatch) -> None:
    def never_less(tally: TaskTally, before: TaskStatus, after: TaskStatus) -> None:
        tally.completed += (after is TaskStatus.COMPLETED) - (before is TaskStatus.COMPLETED)
        tally.in_progress += after is TaskStatus.IN_PROGRESS and before is not after

    patch.setattr(TaskTally, "moved", never_less)


def map_outputs_are_adopted_in_another_order(patch: pytest.MonkeyPatch) -> None:
    def with_order(planned: Any) -> Any:
        def backwards(state: State, event: events.InputPlanned, now_ms: int, out: Any) -> None:
            if event.adoption is not None:
                adoption = replace(event.adoption, origins=event.adoption.origins[::-1])
                event = replace(event, adoption=adoption)
            planned(state, event, now_ms, out)

        return backwards

    decide(patch, events.InputPlanned, with_order)


def a_job_that_was_redriven_is_kept_for_ever(patch: pytest.MonkeyPatch) -> None:
    swap(patch, "_let_go", lambda _: lambda _state, _job: None)


def more_bad_records_are_accepted_than_allowed(patch: pytest.MonkeyPatch) -> None:
    swap(patch, "refusal", lambda _: lambda _job, _found: None)


def a_full_volume_loses_bad_records(patch: pytest.MonkeyPatch) -> None:
    async def once(quarantine: Quarantine, attempt: AttemptId, record: BadRecord) -> None:
        with suppress(VolumeFull):
            await quarantine._store.put(attempt, record)

    patch.setattr(Quarantine, "_keep", once)


BUGS = (
    Bug("core", a_second_attempt_is_accepted, ("one_attempt_is_accepted", "one accepted attempt per task")),
    Bug("core", the_attempt_of_a_lost_worker_is_forgotten, ("a running attempt holds its worker",)),
    Bug(
        "engine",
        the_loser_of_a_race_is_left_alone,
        ("a task in progress has attempts", "one accepted attempt per task", "the transition table"),
    ),
    Bug("core", a_timeout_counts_from_the_submission, ("jobs_get_the_time_they_were_given",)),
    Bug("engine", one_attempt_too_many, ("retries_are_bounded",)),
    Bug("engine", map_outputs_are_listed_as_they_were_done, ("output_is_exact",)),
    Bug("engine", commands_run_before_their_facts_are_journaled, ("workers_are_treated_well",)),
    Bug("engine", a_restart_forgets_what_ran, ("workers_are_treated_well", "a running attempt holds its worker")),
    Bug("engine", a_commit_is_not_finished_after_a_restart, ("every_job_ended",)),
    Bug("engine", a_request_sent_again_is_another_job, ("every_submission_is_one_job",)),
    Bug("core", a_worker_is_booked_twice, ("idle workers are indexed", "a running attempt holds its worker")),
    Bug("core", tasks_that_have_ended_count_as_running, ("mapper tasks are counted", "sampler tasks are counted")),
    Bug("core", maps_do_not_wait_for_splitters, ("maps_wait_for_splitters",)),
    Bug("core", map_outputs_are_adopted_in_another_order, ("redrives_adopt_every_map_output",)),
    Bug(
        "core",
        a_job_that_was_redriven_is_kept_for_ever,
        ("every cleaned job waits for its retention", "jobs that redrives need are held"),
    ),
    Bug("core", more_bad_records_are_accepted_than_allowed, ("no more bad records than allowed",)),
    Bug("engine", a_full_volume_loses_bad_records, ("bad_records_are_kept_once",)),
    Bug("engine", unreadable_map_outputs_are_not_made_again, ("unreadable_map_outputs_are_made_again",)),
    Bug("engine", success_is_written_first, ("success_marks_a_whole_output",)),
    Bug("engine", uploads_of_stopped_jobs_are_left, ("nothing_is_left",)),
)
