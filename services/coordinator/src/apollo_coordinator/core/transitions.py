"""The one transition table. What is not listed cannot happen, and raises with the story of the thing it happened to."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from apollo_coordinator.core import facts
from apollo_coordinator.core.model import AttemptStatus, Job, JobStatus, Task, TaskStatus


class InvalidTransition(Exception):
    """A fact that cannot follow the state: a defect in the scheduler or a damaged journal."""


JOB: Mapping[tuple[JobStatus, type], frozenset[JobStatus]] = {
    (JobStatus.QUEUED, facts.JobStarted): frozenset({JobStatus.RUNNING}),
    (JobStatus.QUEUED, facts.JobEnded): frozenset({JobStatus.STOPPED}),
    (JobStatus.RUNNING, facts.MapsPlanned): frozenset({JobStatus.RUNNING}),
    (JobStatus.RUNNING, facts.SplittersChosen): frozenset({JobStatus.RUNNING}),
    (JobStatus.RUNNING, facts.CommitStarted): frozenset({JobStatus.COMMITTING}),
    (JobStatus.RUNNING, facts.JobEnded): frozenset({JobStatus.FAILED, JobStatus.STOPPED}),
    (JobStatus.COMMITTING, facts.JobEnded): frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED}),
}

TASK: Mapping[tuple[TaskStatus, type], frozenset[TaskStatus]] = {
    (TaskStatus.SCHEDULED, facts.AttemptStarted): frozenset({TaskStatus.IN_PROGRESS}),
    (TaskStatus.SCHEDULED, facts.JobEnded): frozenset({TaskStatus.FAILED, TaskStatus.STOPPED}),
    # A backup attempt.
    (TaskStatus.IN_PROGRESS, facts.AttemptStarted): frozenset({TaskStatus.IN_PROGRESS}),
    (TaskStatus.IN_PROGRESS, facts.AttemptAccepted): frozenset({TaskStatus.COMPLETED}),
    # Another attempt may still run.
    (TaskStatus.IN_PROGRESS, facts.AttemptFailed): frozenset({TaskStatus.SCHEDULED, TaskStatus.IN_PROGRESS}),
    (TaskStatus.IN_PROGRESS, facts.AttemptLost): frozenset({TaskStatus.SCHEDULED, TaskStatus.IN_PROGRESS}),
    (TaskStatus.IN_PROGRESS, facts.AttemptCancelled): frozenset({TaskStatus.SCHEDULED, TaskStatus.IN_PROGRESS}),
    (TaskStatus.IN_PROGRESS, facts.JobEnded): frozenset({TaskStatus.FAILED, TaskStatus.STOPPED}),
    # The losers of a race are cancelled after the winner was accepted.
    (TaskStatus.COMPLETED, facts.AttemptCancelled): frozenset({TaskStatus.COMPLETED}),
    (TaskStatus.COMPLETED, facts.MapOutputLost): frozenset({TaskStatus.SCHEDULED}),
}

ATTEMPT: Mapping[tuple[AttemptStatus, type], frozenset[AttemptStatus]] = {
    (AttemptStatus.RUNNING, facts.AttemptAccepted): frozenset({AttemptStatus.SUCCEEDED}),
    (AttemptStatus.RUNNING, facts.AttemptFailed): frozenset({AttemptStatus.FAILED}),
    (AttemptStatus.RUNNING, facts.AttemptLost): frozenset({AttemptStatus.LOST}),
    (AttemptStatus.RUNNING, facts.AttemptCancelled): frozenset({AttemptStatus.CANCELLED}),
    (AttemptStatus.RUNNING, facts.JobEnded): frozenset({AttemptStatus.CANCELLED}),
    (AttemptStatus.SUCCEEDED, facts.MapOutputLost): frozenset({AttemptStatus.LOST}),
}

_Status = TypeVar("_Status", bound=StrEnum)


def moved(
    table: Mapping[tuple[_Status, type], frozenset[_Status]],
    old: _Status,
    fact: facts.Fact,
    new: _Status,
    subject: Task | Job,
) -> _Status:
    """`new`, if the table lists the move."""
    if new not in table.get((old, type(fact)), ()):
        story = history(subject) if isinstance(subject, Task) else f"job {subject.id} {subject.status}"
        raise InvalidTransition(f"{type(fact).__name__} cannot move {old} to {new}: {story}")
    return new


def history(task: Task) -> str:
    """The task's story in one line, for errors that must never happen."""
    attempts = "; ".join(
        f"{attempt.id} {attempt.status} on {attempt.worker}"
        + (f" ({attempt.failure.reason})" if attempt.failure else "")
        for attempt in task.attempts
    )
    return f"{task.id} {task.status}, accepted {task.accepted}: {attempts or 'no attempts'}"
