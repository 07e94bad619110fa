"""What answers hold. JSON names of the original API first, Apollo's own after them; times are milliseconds since 1970.

Views are built from the specification, which holds no credentials; `env` and `params` of a job are not shown, because
people put keys of other systems there.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from apollo_common.assignment import Counters
from apollo_common.ids import parse_attempt_id
from apollo_common.timings import NO_TIMINGS, Step, Timings
from apollo_coordinator.core.model import (
    Attempt,
    AttemptStatus,
    Failure,
    Job,
    JobStatus,
    Task,
    TaskKind,
    TaskStatus,
    TaskTally,
    Worker,
)
from apollo_coordinator.core.spec import JobInput, JobSpec, ProgramRef, ProgramSource
from apollo_coordinator.ports import ArtifactInfo

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


def _absent(value: Any) -> bool:
    return value is None


Content = TypeVar("Content")
Maybe = Annotated[Content | None, Field(default=None, exclude_if=_absent)]
"""Left out of the answer when there is nothing to say."""


class View(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True)


class ArtifactView(View):
    name: str
    type: Literal["executable", "file"]
    size: Annotated[int, Field(description="Bytes")]
    hash: Annotated[str, Field(description="SHA-256 in hex")]
    protocol: Maybe[Literal["frames", "text"]]
    created_time: int
    user: Annotated[Maybe[str], Field(description="Whose it is: who uploaded it first under this name")]


class ProgramView(View):
    name: str
    type: Literal["executable", "builtin", "shell"]
    protocol: Literal["frames", "text"]
    hash: Maybe[str]
    size: Maybe[int]


class OutputLocation(View):
    location: str
    use_ssl: Annotated[bool, Field(alias="useSSL")]


class InputData(View):
    id: str
    path: Annotated[str | list[str], Field(description="As it was given")]
    type: str
    format: Annotated[str, Field(description="Of the first input")]
    split_size: int
    split_policy: str


class InputView(View):
    path: Annotated[str, Field(description="As it was given")]
    mapper: str
    format: str


class PhaseProgress(View):
    total: int
    completed: int
    running: int


class Progress(View):
    planned: Annotated[bool, Field(description="Whether the totals are known")]
    maps: PhaseProgress
    reduces: PhaseProgress


class FailureView(View):
    reason: str
    message: str
    task: Maybe[str]
    attempt: Maybe[str]
    program: Maybe[str]
    exit_status: Maybe[int]
    signal: Maybe[int]
    input: Maybe[str]
    stderr_tail: Maybe[str]


class JobView(View):
    id: str
    n_reducers: int
    output_location: OutputLocation
    input_data: InputData
    start_time: Annotated[int, Field(description="While the job is queued: when it was accepted")]
    end_time: Maybe[int]
    name: str
    user: Annotated[Maybe[str], Field(description="Who submitted it")]
    status: JobStatus
    created_time: int
    progress: Progress
    trouble: Maybe[str]  # why the job waits: no worker can be had, a volume is full, the output cannot be written
    failure: Maybe[FailureView]
    inputs: Annotated[Maybe[list[InputView]], Field(description="Where they have mappers of their own")]
    mapper: Annotated[ProgramView, Field(description="Of the first input")]
    reducer: Maybe[ProgramView]
    combiner: Maybe[ProgramView]
    partitioner: str
    key_order: Annotated[Maybe[str], Field(description="Parts of keys that order them, if not by their bytes")]
    group_key_fields: int
    output_format: str
    compression: str
    overwrite: bool
    files: list[str]
    max_attempts: int
    job_timeout_seconds: Annotated[int, Field(description="0: no limit")]
    max_workers: int
    memory_budget: int
    kubernetes: Annotated[Maybe[dict[str, Any]], Field(description="What it asks of its worker pods, as it was given")]
    priority: int
    speculative_attempts: Annotated[int, Field(description="Backup attempts of slow tasks that were started")]
    speculative_won: Annotated[int, Field(description="Of those, how many were done before the attempt they backed up")]
    intermediate_location: Annotated[
        Maybe[str],
        Field(description="With keepIntermediate: where the map outputs are, as the coordinator sees it"),
    ]


class SubmittedView(View):
    job: JobView
    m_program: ProgramView
    r_program: Annotated[ProgramView | None, Field(description="null: a map-only job")]


class SplitView(View):
    id: str
    path: str
    offset: int
    length: int
    objects: Annotated[
        int, Field(description="How many objects the split reads; path, offset and length are the first's")
    ]


class TaskView(View):
    id: str
    type: Annotated[
        Literal["mapper", "reducer", "sampler"],
        Field(description="sampler: the mapper on the beginning of a split, for the range partitioner"),
    ]
    status: TaskStatus
    program: ProgramView
    input_data: Maybe[SplitView]
    pod_name: Maybe[str]
    start_time: Annotated[int | None, Field(description="null: not started")]
    end_time: Maybe[int]
    index: int
    attempts: int
    accepted_attempt: Maybe[str]
    failure: Maybe[FailureView]


class AttemptView(View):
    id: str
    task: str
    number: int
    status: AttemptStatus
    speculative: Annotated[bool, Field(description="A backup attempt: another attempt of the task ran already")]
    worker: str
    pod_name: Maybe[str]
    start_time: int
    end_time: Maybe[int]
    input_bytes: int
    input_bytes_total: int
    program_status: str
    timings: Annotated[
        Maybe[dict[Step, int]],
        Field(description="Milliseconds by the step that held it up: of one that runs or has succeeded"),
    ]
    failure: Maybe[FailureView]


class WorkerView(View):
    id: str
    address: str
    status: Literal["idle", "busy", "draining", "quarantined"]
    job: Maybe[str]
    attempt: Maybe[str]
    pod_name: Maybe[str]
    sandbox: Annotated[
        str, Field(description="What programs run in there, such as `landlock 7, seccomp`; or why there is none")
    ]
    joined_time: int
    heard_time: Annotated[
        int, Field(description="When it joined or last spoke of an attempt; it stands still while the worker is idle")
    ]


class HealthView(View):
    status: Literal["ok"] = "ok"


CountersView = dict[str, dict[str, int]]


class TimingsView(View):
    """Of one phase they add up to the time of its attempts on workers; several steps at once share it."""

    mapper: dict[Step, int]
    reducer: dict[Step, int]


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
        job_timeout_seconds=spec.job_timeout_seconds,
        max_workers=spec.max_workers,
        memory_budget=spec.memory_budget_bytes,
        kubernetes=spec.kubernetes.to_json() if spec.kubernetes else None,
        priority=spec.priority,
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
    )
