"""What an assignment's programs are here: sessions with user programs, or built-ins."""

from functools import partial
from pathlib import Path
from typing import Final

from apollo_common.assignment import SplitPiece, decode_split
from apollo_common.errors import ProgramStartFailed, UnknownBuiltin
from apollo_proto.apollo.v1 import Program, ProgramSource, Protocol, Stdio, TaskAssignment, TextFields
from apollo_worker.artifact.context import (
    UNWATCHED,
    ArtifactProgram,
    ProgramContext,
    Role,
    ShellProgram,
    TextProtocol,
    Watch,
)
from apollo_worker.artifact.session import ProgramSession
from apollo_worker.cache import ArtifactCache
from apollo_worker.core.line_fields import TAB_SEPARATED, LineFields
from apollo_worker.identity_mapper import IdentityMapper
from apollo_worker.ports import Mapper, ProgramObserver, Reducer
from apollo_worker.sandbox.sandbox import Sandbox
from apollo_worker.shuffle.builtins import builtin
from apollo_worker.shuffle.combine import Combiner, ProgramCombiner
from apollo_worker.shuffle.group import WHOLE_KEYS, Grouping, grouped
from apollo_worker.shuffle.key_rules import key_rules

_RAW: Final = "raw"
_BUILTIN_BUDGET_SHARE: Final = 4  # of the memory budget, for the distinct values of one key


def artifact_digests(assignment: TaskAssignment) -> set[str]:
    """The artifacts that an attempt uses: its programs and side files."""
    programs = [assignment.program, assignment.map.combiner if assignment.map is not None else None]
    digests = {program.digest for program in programs if program is not None and program.digest}
    return digests | {file.digest for file in assignment.files}


class AttemptPrograms:
    """Makes the programs of one attempt. Errors: UnknownBuiltin, ProgramStartFailed."""

    def __init__(
        self,
        assignment: TaskAssignment,
        cache: ArtifactCache,
        work_root: Path,
        observer: ProgramObserver,
        budget_bytes: int,
        sandbox: Sandbox,
        watch: Watch = UNWATCHED,
    ) -> None:
        self._assignment = assignment
        self._cache = cache
        self._work_root = work_root
        self._observer = observer
        self._budget_bytes = budget_bytes
        self._sandbox = sandbox
        self._watch = watch

    def mapper(self, observer: ProgramObserver | None = None) -> Mapper:
        """`observer`: who hears of its runs in place of the attempt's own."""
        program, observer = self._program(), observer or self._observer
        if program.source is not ProgramSource.BUILTIN:
            return self._session(program, "map", observer)
        if program.name.removeprefix("builtin:") != "identity":
            raise UnknownBuiltin(f"{program.name!r} is no built-in mapper; there is builtin:identity")
        observer.started(0)
        return IdentityMapper(self._text("map").output_fields)

    def reducer(self) -> Reducer:
        program = self._program()
        if program.source is not ProgramSource.BUILTIN:
            return self._session(program, "reduce", self._observer, key_rules(self._assignment.keys).grouping)
        self._observer.started(0)
        return builtin(program.name, "reduce", budget_bytes=self._budget_bytes // _BUILTIN_BUDGET_SHARE)

    def combiner(self) -> Combiner | None:
        program = self._assignment.map.combiner if self._assignment.map is not None else None
        if program is None:
            return None
        if program.source is ProgramSource.BUILTIN:
            return builtin(program.name, "combine", budget_bytes=self._budget_bytes // _BUILTIN_BUDGET_SHARE)
        return ProgramCombiner(self._session(program, "combine", _Unannounced(self._observer)))

    def main_context(self) -> ProgramContext | None:
        """Of the mapper or reducer; None for a built-in."""
        program = self._program()
        role: Role = "map" if self._assignment.map is not None else "reduce"
        return None if program.source is ProgramSource.BUILTIN else self._context(program, role)

    def _program(self) -> Program:
        if self._assignment.program is None:
            raise ProgramStartFailed(f"attempt {self._assignment.attempt_id} names no program")
        return self._assignment.program

    def _session(
        self, program: Program, role: Role, observer: ProgramObserver, grouping: Grouping = WHOLE_KEYS
    ) -> ProgramSession:
        return ProgramSession(self._context(program, role), observer, group=partial(grouped, grouping=grouping))

    def _context(self, program: Program, role: Role) -> ProgramContext:
        task = self._assignment
        first = _first_piece(task) if role == "map" else None
        return ProgramContext(
            role=role,
            job_id=task.job_id,
            task_id=task.task_id,
            attempt_number=task.attempt_number,
            partition=task.reduce.partition if task.reduce is not None else task.task_index,
            program=self._executable(program),
            protocol="frames" if program.protocol is Protocol.FRAMES else "text",
            stdio="pipe" if program.stdio is Stdio.PIPE else "socket",
            work_root=self._work_root,
            memory_budget_bytes=self._budget_bytes,
            input_url=first.url if first is not None else "",
            input_offset=first.offset if first is not None else 0,
            input_length_bytes=first.length_bytes if first is not None else 0,
            params=task.params,
            env=task.env,
            files={file.name: self._cache.path(file.digest) for file in task.files},
            timeout_ms=task.timeout_ms,
            ignore_input=task.ignore_input,
            network=task.network,
            sandbox=self._sandbox,
            watch=self._watch,
            text=self._text(role),
        )

    def _text(self, role: Role) -> TextProtocol:
        fields = self._assignment.text or TextFields()
        separator, key_fields = fields.map_output_separator, fields.map_output_key_fields
        if role != "map":
            separator, key_fields = fields.reduce_output_separator, fields.reduce_output_key_fields
        output = self._assignment.output
        return TextProtocol(
            input_separator=fields.reduce_input_separator.encode() or TAB_SEPARATED.separator,
            output_fields=LineFields(separator.encode() or TAB_SEPARATED.separator, key_fields or 1),
            raw_output=role != "combine" and output is not None and output.format == _RAW,
        )

    def _executable(self, program: Program) -> ArtifactProgram | ShellProgram:
        if program.source is ProgramSource.SHELL:
            return ShellProgram(program.name.removeprefix("shell:"))
        return ArtifactProgram(self._cache.path(program.digest), program.name)


class _Unannounced:
    """An observer of a combiner: it runs once per spill, which is not news."""

    def __init__(self, observer: ProgramObserver) -> None:
        self.counter = observer.counter
        self.status = observer.status
        self.stderr = observer.stderr

    def started(self, process_id: int) -> None:
        pass


def _first_piece(assignment: TaskAssignment) -> SplitPiece | None:
    """Of a map attempt's split."""
    pieces = decode_split(assignment.map.split).pieces if assignment.map is not None else ()
    return pieces[0] if pieces else None
