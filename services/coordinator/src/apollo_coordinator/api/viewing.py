"""Makes answers of what the model holds.

They are built from the specification, which holds no credentials; `env` and `params` of a job are not shown, because
people put keys of other systems there.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from apollo_common.assignment import Counters
from apollo_common.ids import parse_attempt_id
from apollo_common.timings import NO_TIMINGS, Timings
from apollo_coordinator.api.views import (
    ArtifactView,
    AttemptView,
    BadRecordView,
    CountersView,
    ExplanationView,
    FailureGroupView,
    FailureView,
    FirstRecordView,
    InputData,
    InputView,
    JobView,
    LineView,
    OutputLocation,
    PhaseProgress,
    ProgramView,
    Progress,
    SplitView,
    TaskView,
    TimingsView,
    WorkerView,
)
from apollo_coordinator.core.adoption import AdoptedOutput, BadRecordRange
from apollo_coordinator.core.bad_records import bad_records
from apollo_coordinator.core.explanation.findings import Line
from apollo_coordinator.core.model import (
    Attempt,
    Failure,
    FailureGroup,
    Job,
    Task,
    TaskKind,
    TaskTally,
    Worker,
)
from apollo_coordinator.core.spec import JobInput, JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.jobs import JobBadRecord
from apollo_coordinator.ports import ArtifactInfo

SHOWN_FAILURES = 3
"""Of a job's causes of failure in the job itself; all of them have a list of their own."""

BUILTIN_COUNTERS = (
    "input_records",
    "input_bytes",
    "map_output_records",
    "combine_output_records",
    "shuffle_bytes",
    "spilled_records",
    "reduce_input_groups",
    "output_records",
    "output_bytes",
)


def view_artifact(info: ArtifactInfo) -> ArtifactView:
    return ArtifactView.model_validate(
        {
            "name": info.name,
            "type": info.type,
            "size": info.size_bytes,
            "hash": info.digest,
            "protocol": info.protocol or None,
            "created_time": info.created_ms,
            "user": info.user or None,
        }
    )


def view_program(program: ProgramRef, artifact: ArtifactInfo | None = None) -> ProgramView:
    """`artifact` gives the size, when the name still stands for the bytes that the job has."""
    known = artifact is not None and artifact.digest == program.digest
    kind = "executable" if program.source is ProgramSource.ARTIFACT else program.source.value
    return ProgramView.model_validate(
        {
            "name": program.given_name,
            "type": kind,
            "protocol": program.protocol,
            "hash": program.digest or None,
            "size": artifact.size_bytes if artifact is not None and known else None,
        }
    )


def view_job(job: Job, intermediate_url: str = "") -> JobView:
    """`intermediate_url`: below it lie map outputs."""
    spec = job.spec
    return JobView(
        id=job.id,
        n_reducers=spec.n_reducers,
        output_location=OutputLocation(location=spec.output_path, use_ssl=spec.use_ssl),
        input_data=_input_data(job.id, spec),
        start_time=job.created_ms if job.started_ms is None else job.started_ms,
        end_time=job.ended_ms,
        name=spec.name,
        user=spec.user or None,
        status=job.status,
        created_time=job.created_ms,
        progress=_progress(job),
        trouble=job.trouble or None,
        failure=_failure(job.failure),
        failures=[view_failure_group(group) for group in _foremost(job)] or None,
        inputs=[_input(given) for given in spec.inputs] or None,
        mapper=view_program(spec.mapper),
        reducer=view_program(spec.reducer) if spec.reducer else None,
        combiner=view_program(spec.combiner) if spec.combiner else None,
        partitioner=spec.partitioner,
        key_order=spec.keys.order or None,
        group_key_fields=spec.keys.group_fields,
        output_format=spec.output_format,
        compression=spec.compression,
        overwrite=spec.overwrite,
        files=[file.name for file in spec.files],
        max_attempts=spec.max_attempts,
        max_bad_records=spec.max_bad_records,
        bad_records=bad_records(job.counters),
        keep_intermediate=spec.keep_intermediate,
        job_timeout_seconds=spec.job_timeout_seconds,
        max_workers=spec.max_workers,
        memory_budget=spec.memory_budget_bytes,
        kubernetes=spec.kubernetes.to_json() if spec.kubernetes else None,
        priority=spec.priority,
        redrive_of=spec.redrive_of or None,
        speculative_attempts=job.speculative_attempts,
        speculative_won=job.speculative_won,
        intermediate_location=f"{intermediate_url}/{job.id}" if spec.keep_intermediate and intermediate_url else None,
    )


def view_task(task: Task, spec: JobSpec, pod_names: Mapping[str, str]) -> TaskView:
    """`pod_names`: by worker id."""
    program = spec.reducer if task.kind is TaskKind.REDUCE and spec.reducer else spec.mapper_of(task.split)
    last = task.attempts[-1] if task.attempts else None
    accepted = next((attempt for attempt in task.attempts if attempt.id == task.accepted), last)
    return TaskView(
        id=task.id,
        type=task.kind.value,
        status=task.status,
        program=view_program(program),
        input_data=_split(task),
        pod_name=pod_names.get(accepted.worker) if accepted else None,
        start_time=task.started_ms,
        end_time=task.ended_ms,
        index=task.index,
        attempts=len(task.attempts),
        accepted_attempt=task.accepted,
        adopted_from=task.origin.attempt if isinstance(task.origin, AdoptedOutput) else None,
        bad_records_of=task.origin.attempt if isinstance(task.origin, BadRecordRange) else None,
        failure=_failure(last.failure) if last else None,
    )


def view_attempt(attempt: Attempt, pod_names: Mapping[str, str]) -> AttemptView:
    parts = parse_attempt_id(attempt.id)
    return AttemptView(
        id=attempt.id,
        task=parts.task,
        number=parts.number,
        status=attempt.status,
        speculative=attempt.speculative,
        worker=attempt.worker,
        pod_name=pod_names.get(attempt.worker),
        start_time=attempt.started_ms,
        end_time=attempt.ended_ms,
        input_bytes=attempt.input_bytes,
        input_bytes_total=attempt.input_bytes_total,
        program_status=attempt.program_status,
        timings=attempt.timings.by_step() if attempt.timings != NO_TIMINGS else None,
        failure=_failure(attempt.failure),
    )


def view_bad_record(found: JobBadRecord) -> BadRecordView:
    record = found.record
    return BadRecordView(
        number=found.number,
        task=found.task,
        attempt=found.attempt,
        input=record.input,
        offset=record.offset,
        size=record.size_bytes,
        reason=record.reason,
        message=record.message,
        exit_status=record.exit_status,
        signal=record.signal,
        stderr=record.stderr_tail,
        preview=record.content.decode(errors="replace"),
    )


def view_worker(worker: Worker) -> WorkerView:
    return WorkerView(
        id=worker.id,
        address=worker.address,
        status=_worker_status(worker),
        job=worker.job,
        attempt=worker.attempt,
        pod_name=worker.pod_name or None,
        sandbox=worker.sandbox,
        joined_time=worker.joined_ms,
        heard_time=worker.heard_ms,
    )


def _worker_status(worker: Worker) -> Literal["idle", "busy", "draining", "quarantined"]:
    if worker.draining:
        return "draining"
    if worker.quarantined:
        return "quarantined"
    return "busy" if worker.attempt else "idle"


def view_counters(counters: Counters) -> CountersView:
    """Apollo's own counters are always there, so that a reader need not ask whether they are."""
    builtin = dict.fromkeys(BUILTIN_COUNTERS, 0) | counters.get("apollo", {})
    return {"apollo": builtin} | {group: dict(names) for group, names in counters.items() if group != "apollo"}


def view_timings(timings: Mapping[TaskKind, Timings]) -> TimingsView:
    return TimingsView(mapper=timings[TaskKind.MAP].by_step(), reducer=timings[TaskKind.REDUCE].by_step())


def view_explanation(lines: Sequence[Line]) -> ExplanationView:
    return ExplanationView(
        lines=[
            LineView(
                finding=line.finding,
                text=line.text,
                figures=dict(line.figures),
                setting=line.setting or None,
                fix=line.fix or None,
            )
            for line in lines
        ]
    )


def _input_data(owner: str, spec: JobSpec) -> InputData:
    paths = list(spec.input_paths)
    return InputData(
        id=f"{owner}-input",
        path=paths[0] if len(paths) == 1 else paths,
        type=spec.input_type,
        format=spec.record_format,
        split_size=spec.split_size_bytes,
        split_policy=spec.split_policy,
    )


def _input(given: JobInput) -> InputView:
    return InputView(path=given.path, mapper=given.mapper.given_name, format=given.record_format)


def _split(task: Task) -> SplitView | None:
    if task.split is None or not task.split.pieces:
        return None
    first = task.split.pieces[0]
    return SplitView(
        id=f"{task.id}-input",
        path=first.url,
        offset=first.offset,
        length=first.length_bytes,
        objects=len(task.split.pieces),
    )


def _progress(job: Job) -> Progress:
    if job.totals is not None:
        maps = PhaseProgress(total=job.totals.maps, completed=job.totals.maps_completed, running=0)
        reduces = PhaseProgress(total=job.totals.reduces, completed=job.totals.reduces_completed, running=0)
        return Progress(planned=job.planned, maps=maps, reduces=reduces)
    return Progress(
        planned=job.planned, maps=_phase(job.maps, job.map_tally), reduces=_phase(job.reduces, job.reduce_tally)
    )


def _phase(tasks: list[Task], tally: TaskTally) -> PhaseProgress:
    return PhaseProgress(total=len(tasks), completed=tally.completed, running=tally.in_progress)


def _failure(failure: Failure | None) -> FailureView | None:
    if failure is None:
        return None
    return FailureView(
        reason=failure.reason,
        message=failure.message,
        task=failure.task or None,
        attempt=failure.attempt or None,
        program=failure.program or None,
        exit_status=failure.exit_status,
        signal=failure.signal or None,
        input=failure.input or None,
        stderr_tail=failure.stderr_tail or None,
        fingerprint=failure.fingerprint or None,
        full_volume=failure.full_volume or None,
        needed_bytes=failure.needed_bytes or None,
    )


def view_failure_group(group: FailureGroup) -> FailureGroupView:
    return FailureGroupView(
        fingerprint=group.fingerprint,
        reason=group.reason,
        message=group.message,
        program=group.program or None,
        exit_status=group.exit_status,
        signal=group.signal or None,
        attempts=group.attempts,
        tasks=group.tasks,
        workers=group.workers,
        first_time=group.first_ms,
        last_time=group.last_ms,
        first_attempt=group.attempt,
        first_task=parse_attempt_id(group.attempt).task,
        lines=list(group.lines),
        first_record=_first_record(group),
    )


def _first_record(group: FailureGroup) -> FirstRecordView | None:
    found = group.bad_record
    if found is not None:
        return FirstRecordView(input=found.input, offset=found.offset, size=found.size_bytes, preview=found.preview)
    if not group.input:
        return None
    return FirstRecordView(input=group.input, offset=group.offset, size=None, preview=None)


def _foremost(job: Job) -> list[FailureGroup]:
    """The causes that most attempts failed by, the most first."""
    return sorted(job.failures.values(), key=lambda group: -group.attempts)[:SHOWN_FAILURES]
