"""What a user asks for: the job specification, validated by the API before it comes here."""

from dataclasses import dataclass, field
from enum import StrEnum

from apollo_common.assignment import Split
from apollo_coordinator.core.plan import SplitPolicy
from apollo_coordinator.core.pod_overrides import PodOverrides

MIB = 1 << 20
TAB = "\t"

DEFAULT_SPLIT_SIZE_BYTES = 64 * MIB
DEFAULT_MEMORY_BUDGET_BYTES = 256 * MIB
DEFAULT_MAX_ATTEMPTS = 4
DEFAULT_RECORD_FORMAT = "lines"


class ProgramSource(StrEnum):
    ARTIFACT = "artifact"
    BUILTIN = "builtin"
    SHELL = "shell"


@dataclass(frozen=True, slots=True)
class ProgramRef:
    """A program as the job keeps it: an artifact by digest, `builtin:NAME`, or a shell command."""

    source: ProgramSource
    name: str  # artifact name, "builtin:sum", or the command itself
    digest: str = ""  # SHA-256 in hex; artifacts only
    protocol: str = "text"  # frames | text
    stdio: str = "socket"  # socket | pipe; text only

    @property
    def given_name(self) -> str:
        """As a job names it: the artifact's name, `builtin:NAME` or `shell:COMMAND`."""
        return f"shell:{self.name}" if self.source is ProgramSource.SHELL else self.name


@dataclass(frozen=True, slots=True)
class SideFileRef:
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class TextFields:
    """Where a line of a text program's output is cut into key and value, and what joins them elsewhere."""

    map_output_separator: str = TAB
    map_output_key_fields: int = 1
    reduce_input_separator: str = TAB  # also the combiner's, as the two that follow
    reduce_output_separator: str = TAB
    reduce_output_key_fields: int = 1
    output_separator: str = TAB  # of the output format `text`


@dataclass(frozen=True, slots=True)
class KeyRules:
    """What separates the fields of keys, which order keys have, and which of them one group."""

    separator: str = TAB
    order: str = ""  # parts of a key, such as "-k1,1 -k2,2nr"; empty: the order of their bytes
    group_fields: int = 0  # keys whose first fields agree are one group; 0: only equal keys are


@dataclass(frozen=True, slots=True)
class JobInput:
    """One input, and the mapper that reads its records."""

    path: str  # as given
    mapper: ProgramRef
    record_format: str = DEFAULT_RECORD_FORMAT


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as accepted. Holds no credentials: those live in the secret store, by job id."""

    input_paths: tuple[str, ...]  # as given; of all inputs
    output_path: str  # as given
    mapper: ProgramRef  # of the first input
    reducer: ProgramRef | None = None  # None: map-only
    combiner: ProgramRef | None = None
    n_reducers: int = 1
    name: str = ""
    input_type: str = "file/txt"
    record_format: str = DEFAULT_RECORD_FORMAT  # of the first input
    inputs: tuple[JobInput, ...] = ()  # empty: all paths have the same mapper and format
    split_policy: SplitPolicy = SplitPolicy.AUTO
    allow_no_input: bool = False  # a path at which nothing is gives no splits
    use_ssl: bool = True
    split_size_bytes: int = DEFAULT_SPLIT_SIZE_BYTES
    overwrite: bool = False
    params: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    files: tuple[SideFileRef, ...] = ()
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    timeout_seconds: int = 0  # of silence by a program; 0: no limit
    job_timeout_seconds: int = 0  # from the job's start to its commit; 0: no limit
    partitioner: str = "hash"
    output_format: str = "text"
    compression: str = ""
    max_workers: int = 0  # 0: as many as the pool has
    memory_budget_bytes: int = DEFAULT_MEMORY_BUDGET_BYTES
    priority: int = 0
    speculation: bool = True
    keep_intermediate: bool = False
    max_bad_records: int = 0
    ignore_input: bool = False
    network: bool = False  # the programs may use TCP and UDP
    part_prefix: str = ""  # of the parts' names, before their numbers; empty: part-r- or part-m-
    text: TextFields = field(default_factory=TextFields)
    keys: KeyRules = field(default_factory=KeyRules)
    credentials_secret: str = ""
    brings_credentials: bool = False  # they came in its body
    kubernetes: PodOverrides | None = None  # of the worker pods
    user: str = ""  # who submitted it; empty: nobody was asked
    redrive_of: str = ""  # a job: of its input only the bad records are mapped, and its map outputs reduced with them
    remap_of: str = ""  # a job: the very splits that it read are mapped again
    idempotency_key: str = ""  # after the user and a line break, if there is one
    body_digest: str = ""  # of the request, to tell a retry from another job under the same key

    @property
    def reads_input(self) -> bool:
        """Whether attempts read what lies at the input paths; those of a redrive get records with their orders."""
        return not self.redrive_of

    @property
    def earlier_job(self) -> str:
        """The one whose tasks this job is planned from; empty of a job that is planned from what lies at its inputs."""
        return self.redrive_of or self.remap_of

    @property
    def each_input(self) -> tuple[JobInput, ...]:
        """One for each of `input_paths`."""
        return self.inputs or tuple(JobInput(path, self.mapper, self.record_format) for path in self.input_paths)

    @property
    def mappers(self) -> tuple[ProgramRef, ...]:
        """Each once."""
        return tuple(dict.fromkeys(given.mapper for given in self.inputs)) or (self.mapper,)

    @property
    def programs(self) -> tuple[ProgramRef, ...]:
        """Each once: the mappers, the combiner, the reducer."""
        others = [program for program in (self.combiner, self.reducer) if program is not None]
        return tuple(dict.fromkeys([*self.mappers, *others]))

    @property
    def artifact_digests(self) -> tuple[str, ...]:
        """Of its programs and side files, each once: what a worker must hold to run any of its tasks."""
        programs = [program.digest for program in self.programs if program.source is ProgramSource.ARTIFACT]
        return tuple(dict.fromkeys([*programs, *(file.digest for file in self.files)]))

    def mapper_of(self, split: Split | None) -> ProgramRef:
        """Which program reads the split."""
        return self.inputs[split.job_input].mapper if split is not None and self.inputs else self.mapper
