"""What it takes to run an attempt's program without Apollo, left in a directory.

work/        the program and its side files: where it runs
sdk/         what Python programs import
input        the bytes of its standard input (text protocol)
environment  its variables, for a shell: `. ./environment`
run.sh       runs it on that input, with these variables and no others
"""

import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from apollo_common.threads import in_thread
from apollo_worker.artifact.context import ProgramContext
from apollo_worker.artifact.directory import ProgramDirectory
from apollo_worker.artifact.environment import command_line, program_environment
from apollo_worker.artifact.text_input import Chunks, pair_lines, record_lines
from apollo_worker.core.columns import PairBatch, RecordBlock
from apollo_worker.ports import PairSink, ProgramObserver, ProgramResult
from apollo_worker.programs import AttemptPrograms
from apollo_worker.shuffle.combine import Combiner

_OWNERS: Final = 0o600  # variables may be nobody else's to read
_OWNERS_SCRIPT: Final = 0o700

_RUN_TEXT: Final = """\
#!/bin/sh
# Runs the {role} program of attempt {attempt} on the input that it got. Words that are given come before it:
#   ./run.sh strace -f
cd {work} || exit
exec env -i {variables} "$@" {command} < {input}
"""
_RUN_FRAMES: Final = """\
#!/bin/sh
# The {role} program of attempt {attempt} speaks frames over a socket that only Apollo answers.
echo 'this program speaks frames: run it with `apollo replay {job} {task} --under COMMAND`' >&2
exit 2
"""


class KeptPrograms(AttemptPrograms):
    """In place of the attempt's program stands what writes its input down; it emits nothing."""

    def __init__(self, *arguments: Any, directory: Path) -> None:
        super().__init__(*arguments)
        self._directory = directory

    async def write(self) -> bool:
        """All but the input. Whether there is one to write: a text program's. OSError; VolumeFull."""
        context = self.main_context()
        if context is None:
            return False
        root = self._directory
        await in_thread(_write, root, context)
        return context.protocol == "text"

    def mapper(self, observer: ProgramObserver | None = None) -> "_InputFile":  # noqa: ARG002 - nothing is to be heard
        return self._input_file()

    def reducer(self) -> "_InputFile":
        return self._input_file()

    def combiner(self) -> Combiner | None:
        return None

    def _input_file(self) -> "_InputFile":
        context = self.main_context()
        separator = context.text.input_separator if context is not None else b""
        return _InputFile(self._directory / "input", separator)


class _InputFile:
    """A Mapper and a Reducer."""

    def __init__(self, path: Path, separator: bytes) -> None:
        self._path = path
        self._separator = separator

    async def map(self, records: AsyncIterator[RecordBlock], sink: PairSink) -> ProgramResult:  # noqa: ARG002 - the port's
        return await self._write(record_lines(records))

    async def reduce(self, pairs: AsyncIterator[PairBatch], sink: PairSink) -> ProgramResult:  # noqa: ARG002 - the port's
        return await self._write(pair_lines(pairs, self._separator))

    async def _write(self, chunks: Chunks) -> ProgramResult:
        records = 0
        self._path.touch(_OWNERS)
        with self._path.open("wb") as file:
            async with aclosing(chunks):
                async for chunk in chunks:
                    for buffer in chunk.buffers:
                        await in_thread(file.write, buffer)
                    records += chunk.records
        return ProgramResult(records)


def _write(root: Path, context: ProgramContext) -> None:
    directory = ProgramDirectory(root, root / "work", root / "sdk", root / "socket")
    directory.fill(context.program, context.files)
    variables = program_environment(context, directory.work, directory.sdk, directory.socket)
    _place(root / "environment", "".join(f"export {assigned}\n" for assigned in _assigned(variables)), _OWNERS)
    script = _RUN_TEXT if context.protocol == "text" else _RUN_FRAMES
    filled = script.format(
        role=context.role,
        attempt=f"{context.task_id}-{context.attempt_number}",
        job=context.job_id,
        task=context.task_id,
        work=shlex.quote(str(directory.work)),
        variables=" ".join(_assigned(variables)),
        command=shlex.join(command_line(context.program, directory.work)),
        input=shlex.quote(str(root / "input")),
    )
    _place(root / "run.sh", filled, _OWNERS_SCRIPT)


def _assigned(variables: Mapping[str, str]) -> list[str]:
    return [f"{name}={shlex.quote(value)}" for name, value in variables.items()]


def _place(path: Path, content: str, mode: int) -> None:
    path.touch(mode)
    path.write_text(content)
    path.chmod(mode)
