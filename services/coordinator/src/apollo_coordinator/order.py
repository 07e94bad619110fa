"""What the engine and a worker say to each other about one attempt, free of any wire format."""

from dataclasses import dataclass, field
from functools import cached_property

from apollo_common.assignment import Counters, MapOutputRef, PartUpload, encode_map_outputs
from apollo_common.ids import AttemptId, TaskId
from apollo_common.storage.port import AttemptAccess, StorageAccess
from apollo_common.timings import NO_TIMINGS, Timings
from apollo_coordinator.core.model import LargestGroup, RecordPlace, Task
from apollo_coordinator.core.spec import JobSpec


@dataclass(frozen=True, slots=True)
class OutputTarget:
    """Where an attempt uploads its part; invisible until the commit."""

    url: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class IntermediatePlace:
    """A prefix of a bucket for map outputs, without a trailing slash, and the access to it."""

    url: str
    access: StorageAccess


class MapOutputs(tuple[MapOutputRef, ...]):  # noqa: SLOT001 - it keeps what it has packed
    """The accepted map outputs of a job, in the order of their tasks. All its reduces share them, packed once."""

    @cached_property
    def packed(self) -> bytes:
        return encode_map_outputs(self)


NO_MAP_OUTPUTS = MapOutputs()


@dataclass(frozen=True, slots=True)
class AttemptOrder:
    """Everything that a worker needs to run one attempt."""

    job_id: str
    task: Task
    attempt_id: AttemptId
    attempt_number: int
    spec: JobSpec
    input_access: StorageAccess
    output_access: StorageAccess
    map_outputs: MapOutputs = NO_MAP_OUTPUTS  # reduce attempts
    splitters: bytes = b""  # map attempts under the range partitioner: packed keys
    max_bad_records: int = 0  # over 0: a skipping attempt, which may find so many
    find_bad_record: bool = False  # map attempts: should the program fail, look for a record on which it does
    records: bytes = b""  # map attempts of a redrive: packed, in place of the split's
    output: OutputTarget | None = None  # reduce and map-only attempts
    output_path: str = ""  # shuffling map attempts
    intermediate: IntermediatePlace | None = None  # None: the volume that the worker mounts, or nothing is shuffled

    @property
    def access(self) -> AttemptAccess:
        intermediate = self.intermediate.access if self.intermediate is not None else StorageAccess()
        return AttemptAccess(self.input_access, self.output_access, intermediate)


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    process_id: int = 0


@dataclass(frozen=True, slots=True)
class AttemptProgress:
    """Also the heartbeat."""

    input_bytes: int
    input_bytes_total: int
    counters: Counters
    status: str = ""
    memory_peak_bytes: int = 0  # of the worker and its programs, since the worker started; 0: unknown
    timings: Timings = NO_TIMINGS


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """A piece of the programs' standard error. One that is told again, after a restart, has the same offset."""

    content: bytes
    offset: int  # where it begins in all that the attempt has told


@dataclass(frozen=True, slots=True)
class AttemptDone:
    counters: Counters
    parts: tuple[PartUpload, ...] = ()
    output_bytes: int = 0
    output_records: int = 0
    output_sha256: str = ""
    partition_bytes: tuple[int, ...] = ()
    sample_keys: tuple[bytes, ...] = ()  # samplers: out of `output_records`
    timings: Timings = NO_TIMINGS
    largest_group: LargestGroup | None = None  # reduces


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    reason: str
    message: str
    retryable: bool
    exit_status: int | None = None
    signal: int | None = None
    stderr_tail: str = ""
    lost_map_task: TaskId | None = None
    lost_map_attempt: AttemptId | None = None
    full_volume: str = ""  # which, in the words of apollo_common.volumes
    needed_bytes: int = 0  # about how much more room on it would do; 0: unknown
    bad_record: RecordPlace | None = None  # that was looked for, and found


@dataclass(frozen=True, slots=True)
class AttemptCancelled:
    handed_back: bool = False  # nobody asked for it: the worker was told to end


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that makes the mapper fail by itself, as an attempt has found it."""

    number: int  # within its attempt, from 1
    input: str  # URL
    offset: int  # where it begins in the decoded object, in bytes
    size_bytes: int
    content: bytes  # as the program gets it, of a line without its end; where it is only looked at: the beginning
    line: bool  # the program gets it as a line
    reason: str  # of the program's failure on this record alone
    message: str
    exit_status: int | None = None
    signal: int | None = None
    stderr_tail: str = ""


AttemptReport = (
    AttemptStarted | AttemptProgress | AttemptLog | BadRecord | AttemptDone | AttemptFailed | AttemptCancelled
)
"""The last three end the stream."""


@dataclass(frozen=True, slots=True)
class WorkerDescription:
    worker_id: str
    version: str
    attempt_id: str  # empty while idle
    artifact_digests: frozenset[str] = field(default_factory=frozenset)
    platform: str = ""
    memory_limit_bytes: int = 0
    draining: bool = False  # it was told to end, and takes no attempt any more
    sandbox: str = ""  # what programs run in there, for people
