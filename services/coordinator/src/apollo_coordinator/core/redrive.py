"""Which jobs can be redriven, and what becomes of them: the new job's specification, and its plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from apollo_common.assignment import Counters, Split
from apollo_common.bad_records import BAD_RECORDS, BISECTION_RUNS, QUARANTINED_BYTES
from apollo_common.errors import InputChanged, MapOutputsGone, PermanentError
from apollo_common.ids import AttemptId
from apollo_coordinator.core.adoption import AdoptedOutput, Adoption, BadRecordRange, Origin
from apollo_coordinator.core.bad_records import bad_records
from apollo_coordinator.core.model import Job, JobStatus, add_counters
from apollo_coordinator.core.spec import JobSpec, ProgramRef

MAX_TASK_RECORDS_BYTES = 2 << 20
"""Of the bad records that one map task gets with its order."""

_OF_SKIPPING = (BAD_RECORDS, QUARANTINED_BYTES, BISECTION_RUNS)
"""Counters that tell of skipping, which the redrive does anew or not at all."""


class CannotRedrive(PermanentError):
    """A job whose bad records cannot be mapped again. The message says what can be done instead."""

    reason = "cannot_redrive"


class JobNotSucceeded(CannotRedrive):
    reason = "job_not_succeeded"


class NoBadRecords(CannotRedrive):
    reason = "no_bad_records"


class RedriveOfRedrive(CannotRedrive):
    reason = "redrive_of_redrive"


class MappersDiffer(CannotRedrive):
    reason = "mappers_differ"


class MustMapAgain(MapOutputsGone):
    """A redrive has no map outputs to reduce. With what it would cost to map all of the input again."""

    def __init__(self, message: str, *, map_tasks: int, input_bytes: int, map_milliseconds: int) -> None:
        super().__init__(message)
        self.map_tasks = map_tasks
        self.input_bytes = input_bytes
        self.map_milliseconds = map_milliseconds  # of all workers together, the last time


def check_redrivable(job: Job) -> None:
    """CannotRedrive, but for what only the job's tasks and their outputs tell."""
    if job.spec.redrive_of:
        raise RedriveOfRedrive(
            f"job {job.id} is a redrive itself: redrive job {job.spec.redrive_of} with the better mapper"
        )
    if job.status is not JobStatus.SUCCEEDED:
        what_to_do = "run the job again with the better mapper" if job.status.ended else "wait for it"
        raise JobNotSucceeded(f"job {job.id} is {job.status}, and only what succeeded can be redriven: {what_to_do}")
    if not bad_records(job.counters):
        raise NoBadRecords(
            f"job {job.id} has skipped no records, so there is nothing to redrive: "
            "to map all of its input with another mapper, submit a new job"
        )


def mapper_to_replace(job: Job) -> ProgramRef:
    """The program that failed on all the bad records of a job whose tasks are at hand. MappersDiffer."""
    failed = dict.fromkeys(job.spec.mapper_of(task.split) for task in job.maps if bad_records(task.counters))
    if len(failed) != 1:
        names = ", ".join(program.given_name for program in failed)
        raise MappersDiffer(
            f"the bad records of job {job.id} are of inputs with different mappers ({names}), which one mapper cannot "
            "replace: submit the job again with the better mappers"
        )
    return next(iter(failed))


def with_mapper(spec: JobSpec, failed: ProgramRef, fixed: ProgramRef) -> JobSpec:
    """The specification with another program wherever `failed` read an input."""
    return replace(
        spec,
        mapper=fixed if spec.mapper == failed else spec.mapper,
        inputs=tuple(replace(given, mapper=fixed) if given.mapper == failed else given for given in spec.inputs),
    )


def what_mapping_all_costs(job: Job, why: str) -> MustMapAgain:
    """As the job's own maps did; its tasks are at hand."""
    return MustMapAgain(
        f"job {job.id} cannot be redriven from its map outputs: {why}; ask for remap to map all of its input again",
        map_tasks=len(job.maps),
        input_bytes=sum(task.input_bytes for task in job.maps),
        map_milliseconds=sum(job.map_timings.by_step().values()),
    )


def same_splits(job: Job, found: Sequence[Split]) -> tuple[Split, ...]:
    """What `job`, whose tasks are at hand, has read. `found`: what lies at its inputs now, where more may have come.

    InputChanged names the first object that is gone or another.
    """
    there = {(piece.url, piece.version) for split in found for piece in split.pieces}
    splits = tuple(task.split for task in job.maps if task.split is not None)
    for piece in (piece for split in splits for piece in split.pieces):
        if (piece.url, piece.version) not in there:
            raise InputChanged(
                f"{piece.url} is gone, or changed since job {job.id} read it, so the redrive cannot map the same input "
                "again: for the input as it is now, submit a new job with the better mapper"
            )
    return splits


def plan_redrive(job: Job, sizes: Mapping[AttemptId, Sequence[int]]) -> tuple[tuple[Split, ...], Adoption]:
    """The map tasks of a redrive of `job`, whose tasks are at hand. `sizes`: of the bad records of accepted attempts.

    Of a map-only job nothing is adopted: what its other records gave is in its output already.
    """
    shuffles = job.spec.n_reducers > 0
    splits: list[Split] = []
    origins: list[Origin] = []
    counters: Counters = {}
    for task in job.maps:
        if task.split is None or task.accepted is None or task.output is None:
            raise ValueError(f"{task.id} has no split or no result, though its job has succeeded")
        mine: list[Origin] = _ranges(task.accepted, sizes.get(task.accepted, ()))
        if shuffles:
            mine.insert(0, AdoptedOutput(task.accepted, task.output.path, task.output.size_bytes, task.output.records))
            add_counters(counters, task.counters, 1)
        splits += [task.split] * len(mine)
        origins += mine
    for name in _OF_SKIPPING:
        counters.get("apollo", {}).pop(name, None)
    return tuple(splits), Adoption(tuple(origins), counters, job.splitters)


def _ranges(attempt: AttemptId, sizes: Sequence[int]) -> list[Origin]:
    """An attempt's bad records in their order, which count from 1, cut where a task's share is full."""
    ranges: list[Origin] = []
    first, taken_bytes = 1, 0
    for number, size_bytes in enumerate(sizes, 1):
        if number > first and taken_bytes + size_bytes > MAX_TASK_RECORDS_BYTES:
            ranges.append(BadRecordRange(attempt, first, number - first, taken_bytes))
            first, taken_bytes = number, 0
        taken_bytes += size_bytes
    if sizes:
        ranges.append(BadRecordRange(attempt, first, len(sizes) + 1 - first, taken_bytes))
    return ranges
