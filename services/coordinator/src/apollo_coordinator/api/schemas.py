"""What requests may hold: JSON names of the original API and Apollo's own, with strict types.

These models validate and are also the source of the OpenAPI document. Checks that look at several fields, at
artifacts or at the operator's settings are in `submission`.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticKnownError

from apollo_common.record_format import FORMS, MAX_DELIMITER_BYTES, WrongRecordFormat, parse_record_format
from apollo_common.units import parse_size_bytes
from apollo_coordinator.api.key_fields import KeyBody
from apollo_coordinator.api.pod_fields import PodField
from apollo_coordinator.api.strictness import RequestModel, shortened, wrong
from apollo_coordinator.api.text_fields import TextBody
from apollo_coordinator.core.spec import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_MEMORY_BUDGET_BYTES,
    DEFAULT_RECORD_FORMAT,
    DEFAULT_SPLIT_SIZE_BYTES,
)

MAX_REDUCERS = 10_000
MAX_INPUT_PATHS = 10_000
MAX_INPUTS = 1000
MAX_LOCATION_CHARACTERS = 4096
MAX_NAME_BYTES = 255
MAX_SHELL_CHARACTERS = 32_768
MAX_VARIABLES = 1000
MAX_VALUE_CHARACTERS = 32_768  # Linux takes 128 KiB for one variable, four bytes for a character at most
MAX_SIDE_FILES = 1000
MAX_LIST = 1000
MAX_ATTEMPT_NUMBER = 1_000_000
MAX_SEARCH_CHARACTERS = 255
MAX_BAD_RECORDS = 10_000
MAX_IDEMPOTENCY_KEY = 255
MIN_MEMORY_BUDGET_BYTES = 8 << 20
MAX_SIZE_BYTES = 1 << 44

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_OBJECT_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"  # as Kubernetes names objects (RFC 1123)
_PART_PREFIX = r"^([A-Za-z0-9][-A-Za-z0-9._]*)?$"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _size(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_size_bytes(value)
    except ValueError as error:
        raise wrong("This is no size", "Give bytes as a number, or a string with a unit such as 64MiB.") from error


def _budget(value: int) -> int:
    if value < MIN_MEMORY_BUDGET_BYTES:
        raise wrong("An attempt cannot work with so little", f"Give {MIN_MEMORY_BUDGET_BYTES >> 20}MiB or more.")
    return value


def _paths(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _text(value: str) -> str:
    if "\0" in value:
        raise wrong("This holds a NUL character", "Remove it.")
    return value


def _line(value: str) -> str:
    if _CONTROL.search(value):
        raise wrong("This holds a control character", "Remove tabs, line ends and other control characters.")
    return value


def _file_name(value: str) -> str:
    if len(value.encode()) > MAX_NAME_BYTES or "/" in value or value in (".", ".."):
        raise wrong("This is no artifact's name", f"Give at most {MAX_NAME_BYTES} bytes without a slash.")
    return _line(value)


def _program(value: str) -> str:
    if value.startswith("shell:"):
        if not value.removeprefix("shell:").strip():
            raise wrong("The shell command is empty", "Write a command after shell:, such as shell:tr a-z A-Z.")
        return _text(value)
    return _file_name(value)


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise wrong(f"{shortened(name)} is no variable's name", "Use letters, digits and _, and no digit first.")
    return name


def _environment_variable(name: str) -> str:
    if name.startswith("APOLLO_"):
        raise wrong("Names that start with APOLLO_ are Apollo's own", "Choose another name, or use params.")
    return _variable(name)


def _part_prefix(value: str) -> str:
    if not re.fullmatch(_PART_PREFIX, value):
        fix = "Use letters, digits, -, . and _, beginning with a letter or a digit, such as part-."
        raise wrong(f"{shortened(value)} cannot begin the names of parts", fix)
    return value


def _secret_name(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(_OBJECT_NAME, value):
        fix = "Use small letters, digits, - and ., beginning and ending with a letter or a digit."
        raise wrong(f"{shortened(value)} is no name of a Secret", fix)
    return value


def _record_format(value: str) -> str:
    try:
        parse_record_format(value)
    except WrongRecordFormat as error:
        raise wrong(f"{error.message}: {shortened(value)}", error.fix) from error
    return value


_SIZE_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9]+ ?[KMGTkmgt]?i?[Bb]?$"}]
}
_PATH_SCHEMA = {"type": "string", "minLength": 1, "maxLength": MAX_LOCATION_CHARACTERS}

Size = Annotated[int, Field(ge=1, le=MAX_SIZE_BYTES), BeforeValidator(_size), WithJsonSchema(_SIZE_SCHEMA)]
Budget = Annotated[
    int, Field(le=MAX_SIZE_BYTES), BeforeValidator(_size), AfterValidator(_budget), WithJsonSchema(_SIZE_SCHEMA)
]
Location = Annotated[str, Field(min_length=1, max_length=MAX_LOCATION_CHARACTERS), AfterValidator(_line)]
Locations = Annotated[
    list[Location],
    Field(min_length=1, max_length=MAX_INPUT_PATHS),
    BeforeValidator(_paths),
    WithJsonSchema(
        {
            "anyOf": [
                _PATH_SCHEMA,
                {"type": "array", "items": _PATH_SCHEMA, "minItems": 1, "maxItems": MAX_INPUT_PATHS},
            ]
        }
    ),
]
FileName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_BYTES), AfterValidator(_file_name)]
Program = Annotated[str, Field(min_length=1, max_length=MAX_SHELL_CHARACTERS), AfterValidator(_program)]
InputFormat = Annotated[
    str,
    Field(
        max_length=len("hadoop-keyvalue:") + 4 * MAX_DELIMITER_BYTES,
        description=rf"{FORMS}. A delimiter or separator may hold \n, \t, \0 and \xHH",
    ),
    AfterValidator(_record_format),
]
Value = Annotated[str, Field(max_length=MAX_VALUE_CHARACTERS), AfterValidator(_text)]


class Credentials(RequestModel):
    """An access key and its secret. They are never shown, logged or written to the database."""

    username: Annotated[str, Field(min_length=1, max_length=1024, repr=False), AfterValidator(_line)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=1024)]


class InputBody(RequestModel):
    """Inputs with a mapper and a format of their own."""

    input_path: Locations
    mapper_name: Annotated[Program | None, Field(description="By default the job's")] = None
    input_format: Annotated[InputFormat | None, Field(description="By default the job's")] = None


class JobBody(TextBody, KeyBody, BaseModel):
    """A job to run. Programs are names of artifacts, `builtin:NAME`, or `shell:COMMAND`."""

    inputs: Annotated[
        list[InputBody],
        Field(max_length=MAX_INPUTS, description="In place of inputPath: inputs with mappers of their own"),
    ] = []
    input_path: Annotated[
        Locations | None,
        Field(
            description="s3://, file:// or http(s)://endpoint/bucket/key; may be a list. Required without inputs",
            validate_default=True,
        ),
    ] = None
    output_path: Location
    mapper_name: Annotated[
        Program | None, Field(description="Required, unless all inputs name theirs", validate_default=True)
    ] = None
    reducer_name: Annotated[Program | None, Field(description="Required, unless nReducers is 0")] = None
    combiner_name: Program | None = None
    n_reducers: Annotated[int, Field(ge=0, le=MAX_REDUCERS, description="0: map-only")] = 1
    name: Annotated[str, Field(max_length=255), AfterValidator(_line)] = ""
    input_type: Literal["file/txt"] = "file/txt"
    input_format: InputFormat = DEFAULT_RECORD_FORMAT
    use_ssl: Annotated[bool | None, Field(alias="useSSL", description="Must agree with http(s):// locations")] = None
    input_storage_credentials: Credentials | None = None
    output_storage_credentials: Credentials | None = None
    credentials_secret: Annotated[
        str | None,
        Field(max_length=253, json_schema_extra={"pattern": _OBJECT_NAME}),
        AfterValidator(_secret_name),  # after the length, which is a string's only
    ] = None
    split_size: Annotated[Size, Field(description="Bytes, or a string such as 64MiB")] = DEFAULT_SPLIT_SIZE_BYTES
    split_policy: Annotated[
        Literal["auto", "apart", "packed", "hadoop"],
        Field(
            description="packed: small objects share a map task; auto: of more than 100, up to a hundredth of the input"
        ),
    ] = "auto"
    allow_no_input: Annotated[bool, Field(description="Nothing need be at an inputPath")] = False
    memory_budget: Annotated[Budget, Field(description="8MiB or more")] = DEFAULT_MEMORY_BUDGET_BYTES
    protocol: Literal["auto", "frames", "text"] = "auto"
    stdio: Literal["socket", "pipe"] = "socket"
    overwrite: bool = False
    params: Annotated[dict[Annotated[str, AfterValidator(_variable)], Value], Field(max_length=MAX_VARIABLES)] = {}
    env: Annotated[
        dict[Annotated[str, AfterValidator(_environment_variable)], Value], Field(max_length=MAX_VARIABLES)
    ] = {}
    files: Annotated[list[FileName], Field(max_length=MAX_SIDE_FILES)] = []
    max_attempts: Annotated[int, Field(ge=1, le=100)] = DEFAULT_MAX_ATTEMPTS
    timeout_seconds: Annotated[int, Field(ge=0, le=604_800, description="Of silence by a program; 0: no limit")] = 0
    job_timeout_seconds: Annotated[
        int, Field(ge=0, le=31_536_000, description="From the job's start until its output is committed; 0: no limit")
    ] = 0
    output_format: Literal["text", "jsonl", "raw"] = "text"
    compression: Literal["", "gzip", "bzip2", "zstd"] = ""
    part_prefix: Annotated[
        str,
        Field(
            max_length=100,
            description="Of the parts' names; empty: part-r- or part-m-",
            json_schema_extra={"pattern": _PART_PREFIX},
        ),
        AfterValidator(_part_prefix),
    ] = ""
    kubernetes: Annotated[PodField | None, Field(description="Of the worker pods, within what the operator allows")] = (
        None
    )
    max_workers: Annotated[int, Field(ge=0, le=100_000, description="0: as many as there are")] = 0
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    speculation: bool = True
    keep_intermediate: bool = False
    max_bad_records: Annotated[
        int,
        Field(ge=0, le=MAX_BAD_RECORDS, description="Records that make the mapper fail and may be skipped; 0: none"),
    ] = 0
    ignore_input: bool = False
    network: Annotated[bool, Field(description="The programs may use the network, where the operator allows it")] = (
        False
    )

    @field_validator("input_path")
    @classmethod
    def _one_kind_of_input(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        inputs = info.data.get("inputs")  # None: they are wrong, and told of
        if value is None and inputs == []:
            raise PydanticKnownError("missing")
        if value is not None and inputs:
            raise wrong("This job has inputs, too", "Put the path into inputs, or leave inputs out.")
        return value

    @field_validator("mapper_name")
    @classmethod
    def _a_mapper_for_all(cls, value: str | None, info: ValidationInfo) -> str | None:
        inputs = info.data.get("inputs")
        if value is None and inputs is not None and (not inputs or any(given.mapper_name is None for given in inputs)):
            raise PydanticKnownError("missing")
        return value


class RedriveBody(RequestModel):
    """What is different from the job whose bad records are mapped again."""

    mapper_name: Annotated[Program, Field(description="In place of the one that failed on the bad records")]
    output_path: Location
    overwrite: bool = False
    use_ssl: Annotated[bool | None, Field(alias="useSSL", description="Must agree with http(s):// locations")] = None
    input_storage_credentials: Annotated[Credentials | None, Field(description="Used with remap only")] = None
    output_storage_credentials: Credentials | None = None
    remap: Annotated[bool, Field(description="Map all of the input again: where no map outputs are kept")] = False
    name: Annotated[str | None, Field(max_length=255, description="By default the job's")] = None

    @field_validator("name")
    @classmethod
    def _a_line(cls, value: str | None) -> str | None:
        return value if value is None else _line(value)


def _digits(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    return value


def _flag(value: Any) -> Any:
    return {"": True, "1": True, "true": True, "0": False, "false": False}.get(value, value)


class PageQuery(RequestModel):
    limit: Annotated[int, BeforeValidator(_digits), Field(ge=1, le=MAX_LIST)] = MAX_LIST
    after: Annotated[str | None, Field(max_length=1024, description="From the Link header of the page before")] = None


class JobsQuery(PageQuery):
    order: Annotated[Literal["oldest", "newest"], Field(description="Which jobs come first")] = "oldest"
    status: Annotated[
        Literal["queued", "running", "committing", "succeeded", "failed", "stopped"] | None,
        Field(description="Only jobs of this status"),
    ] = None
    search: Annotated[
        str,
        Field(
            max_length=MAX_SEARCH_CHARACTERS, description="Only jobs with this in their id, name, user, input or output"
        ),
    ] = ""


class UploadQuery(RequestModel):
    type: Annotated[Literal["executable", "file"], Field(description="file: a side file, of any content")] = (
        "executable"
    )


class ReplayQuery(RequestModel):
    attempt: Annotated[
        Annotated[int, Field(ge=0, le=MAX_ATTEMPT_NUMBER)] | None,
        BeforeValidator(_digits),
        Field(description="Its number within the task; without it the last that failed, else the last one"),
    ] = None


class LogQuery(RequestModel):
    follow: Annotated[
        bool,
        BeforeValidator(_flag),
        Field(description="Go on until the attempt ends"),
        WithJsonSchema({"enum": ["", "1", "0", "true", "false"]}),
    ] = False
