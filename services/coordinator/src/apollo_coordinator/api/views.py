"""What answers hold. JSON names of the original API first, Apollo's own after them; times are ms since 1970."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from apollo_common.timings import Step
from apollo_coordinator.core.model import AttemptStatus, JobStatus, TaskStatus


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
    fingerprint: Annotated[Maybe[str], Field(description="The same for attempts of one job that failed alike")]
    full_volume: Annotated[Maybe[str], Field(description="volume_full: which one")]
    needed_bytes: Annotated[Maybe[int], Field(description="volume_full: about how much more room would do")]


class FirstRecordView(View):
    """A record on which the program fails alone; as long as none is known, where the first attempt's split begins."""

    input: str
    offset: Annotated[int, Field(description="In the decoded object, in bytes")]
    size: Annotated[Maybe[int], Field(description="Of the record, in bytes, where it is known")]
    preview: Annotated[Maybe[str], Field(description="Its beginning, as UTF-8: at most 1 KiB")]


class FailureGroupView(View):
    """Attempts of a job that failed alike. What is told in words is told of the first."""

    fingerprint: Annotated[
        str, Field(description="16 hexadecimal digits; `other`: all that failed after 100 different ones")
    ]
    reason: str
    message: str
    program: Maybe[str]
    exit_status: Maybe[int]
    signal: Maybe[int]
    attempts: int
    tasks: int
    workers: Annotated[int, Field(description="On how many workers; 100: or more")]
    first_time: int
    last_time: int
    first_attempt: str
    first_task: str
    lines: Annotated[list[str], Field(description="Of the program's standard error: those that say why")]
    first_record: Annotated[Maybe[FirstRecordView], Field(description="Of a map")]


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
    failures: Annotated[
        Maybe[list[FailureGroupView]],
        Field(description="Of the causes by which attempts failed, the three that most failed by; /failures has all"),
    ]
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
    max_bad_records: Annotated[int, Field(description="Records that may be skipped")]
    bad_records: Annotated[int, Field(description="Records that were skipped: the mapper fails on them")]
    keep_intermediate: bool
    job_timeout_seconds: Annotated[int, Field(description="0: no limit")]
    max_workers: int
    memory_budget: int
    kubernetes: Annotated[Maybe[dict[str, Any]], Field(description="What it asks of its worker pods, as it was given")]
    priority: int
    redrive_of: Annotated[
        Maybe[str],
        Field(
            description="The job whose bad records this one maps again, and whose map outputs it reduces with theirs; "
            "with nReducers 0 its output holds what the bad records give, and no more"
        ),
    ]
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
    adopted_from: Annotated[
        Maybe[str],
        Field(description="Of a redrive: the earlier job's attempt whose output this task has from the start"),
    ]
    bad_records_of: Annotated[
        Maybe[str], Field(description="Of a redrive: the earlier job's attempt whose bad records this task maps")
    ]
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


class ArtifactBytesView(View):
    digest: Annotated[str, Field(description="SHA-256 in hex; the bytes are at /api/v1/artifact-bytes/{digest}")]
    size: Annotated[int, Field(description="Bytes")]


class ReplayView(View):
    attempt: AttemptView
    artifacts: Annotated[list[ArtifactBytesView], Field(description="Programs and side files of the attempt")]
    assignment: Annotated[
        dict[str, Any],
        Field(description="What the worker got, in protobuf's JSON of apollo.v1.TaskAssignment, without credentials"),
    ]


class BadRecordView(View):
    number: Annotated[int, Field(description="Among the job's, from 1, in order of its tasks")]
    task: str
    attempt: str
    input: Annotated[str, Field(description="The object that it lies in")]
    offset: Annotated[int, Field(description="Where it begins there, in bytes; of a compressed object: decoded")]
    size: Annotated[int, Field(description="Bytes, without what ends a line")]
    reason: str
    message: Annotated[str, Field(description="How the mapper fails on it alone")]
    exit_status: Maybe[int]
    signal: Maybe[int]
    stderr: Annotated[str, Field(description="What the mapper wrote there last, 4 KiB at most")]
    preview: Annotated[str, Field(description="The beginning of its bytes, as UTF-8")]


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


class ChangesView(View):
    """Jobs and workers of which something has changed, as they are now."""

    jobs: list[JobView]
    workers: list[WorkerView]
    gone_jobs: Annotated[list[str], Field(description="Ids of jobs that are forgotten")]
    gone_workers: list[str]


class HealthView(View):
    status: Literal["ok"] = "ok"


CountersView = dict[str, dict[str, int]]


class TimingsView(View):
    """Of one phase they add up to the time of its attempts on workers; several steps at once share it."""

    mapper: dict[Step, int]
    reducer: dict[Step, int]


class LineView(View):
    finding: Annotated[str, Field(description="Which cause it is about, or `balanced`; others may come")]
    text: str
    figures: Annotated[dict[str, int | float | str], Field(description="What the text rests on; units in the names")]
    setting: Annotated[Maybe[str], Field(description="The one that helps, where one does")]
    fix: Annotated[Maybe[str], Field(description="What to do; of a setting, from which value to which")]


class ExplanationView(View):
    """What bounded the job stands in the first line."""

    lines: list[LineView]
