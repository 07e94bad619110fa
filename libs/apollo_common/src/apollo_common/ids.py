"""Identifiers of jobs, tasks, attempts and workers.

A task's id contains its job's, an attempt's contains its task's, so a log line that names one names all:

    job      k3v9d2m7q4xa                 12 letters and digits, made by an adapter, never by the core
    task     k3v9d2m7q4xa-m-00012         s: sample, m: map, r: reduce; the index within its phase
    attempt  k3v9d2m7q4xa-m-00012-0       counted from 0 within the task
"""

import re
import secrets
from typing import NamedTuple, NewType

JobId = NewType("JobId", str)
TaskId = NewType("TaskId", str)
AttemptId = NewType("AttemptId", str)
WorkerId = NewType("WorkerId", str)

JOB_ID_LENGTH = 12
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # no l, o, 0, 1: ids are read aloud and typed
_ATTEMPT = re.compile(r"([a-z0-9]{1,40})-([smr])-(\d{5,})-(\d+)")


def new_job_id() -> JobId:
    """A random job id (60 bits)."""
    return JobId("".join(secrets.choice(_ALPHABET) for _ in range(JOB_ID_LENGTH)))


def sample_task_id(job: JobId, index: int) -> TaskId:
    return TaskId(f"{job}-s-{index:05d}")


def map_task_id(job: JobId, index: int) -> TaskId:
    return TaskId(f"{job}-m-{index:05d}")


def reduce_task_id(job: JobId, index: int) -> TaskId:
    return TaskId(f"{job}-r-{index:05d}")


def attempt_id(task: TaskId, number: int) -> AttemptId:
    return AttemptId(f"{task}-{number}")


class AttemptParts(NamedTuple):
    job: JobId
    task: TaskId
    number: int


def parse_attempt_id(text: str) -> AttemptParts:
    """Split an attempt id; ValueError if it is none."""
    match = _ATTEMPT.fullmatch(text)
    if match is None:
        raise ValueError(f"not an attempt id: {text!r}")
    job, phase, index, number = match.groups()
    return AttemptParts(JobId(job), TaskId(f"{job}-{phase}-{index}"), int(number))


def job_of(task_or_attempt: str) -> JobId:
    """The job id at the front of a task or attempt id."""
    return JobId(task_or_attempt.partition("-")[0])
