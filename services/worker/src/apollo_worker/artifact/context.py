"""What a program session needs to know of its attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from apollo_worker.core.line_fields import TAB_SEPARATED, LineFields
from apollo_worker.sandbox.sandbox import NO_SANDBOX, Sandbox

Role = Literal["map", "combine", "reduce"]
ProtocolName = Literal["frames", "text"]
StdioName = Literal["socket", "pipe"]

DEFAULT_RLIMITS: Mapping[str, int] = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": 65_536}


@dataclass(frozen=True, slots=True)
class ArtifactProgram:
    """An uploaded executable: its bytes in the worker's cache and the name that the user gave it."""

    path: Path
    name: str

    @property
    def title(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ShellProgram:
    """A `shell:` command, run as `/bin/sh -c COMMAND`."""

    command: str

    @property
    def title(self) -> str:
        return f"shell:{self.command}" if len(self.command) <= 80 else f"shell:{self.command[:80]}..."


@dataclass(frozen=True, slots=True)
class TextProtocol:
    """How lines and pairs become each other around a text program.

    `raw_output` hands its lines to `PairSink.raw` as they are instead of parsing them into pairs.
    """

    input_separator: bytes = TAB_SEPARATED.separator  # between key and value
    output_fields: LineFields = TAB_SEPARATED
    raw_output: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """How somebody watches a program: `words`, the first of which is a path, run it, as `strace -f` does.

    A program that speaks frames has no use for its standard input and output: with a debugger that runs it, it has the
    descriptor `terminal` for them. -1: none.
    """

    words: tuple[str, ...] = ()
    terminal: int = -1


UNWATCHED: Final = Watch()


@dataclass(frozen=True, slots=True)
class ProgramContext:
    """One program of one attempt.

    `input_url` is the split's first object (map), of which it has `input_length_bytes` from `input_offset` on; `files`
    are side files, name to cached bytes; `timeout_ms` of silence end the program (0: never); `ignore_input` lets it
    succeed without reading; `network` lets it use TCP and UDP from inside its sandbox.
    """

    role: Role
    job_id: str
    task_id: str
    attempt_number: int
    partition: int
    program: ArtifactProgram | ShellProgram
    protocol: ProtocolName
    work_root: Path
    memory_budget_bytes: int
    stdio: StdioName = "socket"
    input_url: str = ""
    input_offset: int = 0
    input_length_bytes: int = 0
    params: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    timeout_ms: int = 0
    ignore_input: bool = False
    text: TextProtocol = field(default_factory=TextProtocol)
    network: bool = False
    sandbox: Sandbox = NO_SANDBOX
    watch: Watch = UNWATCHED
    rlimits: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_RLIMITS))
