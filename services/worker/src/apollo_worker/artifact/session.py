"""Runs a user's program over one input: the Mapper and Reducer of `apollo_worker.ports` for both protocols."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

from apollo_common.errors import ProgramStartFailed
from apollo_common.lifecycle import to_the_end
from apollo_common.threads import in_thread
from apollo_common.timings import Step
from apollo_worker.artifact import start_failure
from apollo_worker.artifact.context import ArtifactProgram, ProgramContext
from apollo_worker.artifact.conversation import Conversation
from apollo_worker.artifact.dialogue import Chunk, Dialogue
from apollo_worker.artifact.directory import ProgramDirectory
from apollo_worker.artifact.environment import command_line, hello_settings, program_environment
from apollo_worker.artifact.frames_dialogue import FramesDialogue, Grouping
from apollo_worker.artifact.log import ProgramLog
from apollo_worker.artifact.process import ExecutionRefused, ProgramOrder, ProgramProcess
from apollo_worker.artifact.silence import Silence
from apollo_worker.artifact.text_dialogue import TextDialogue
from apollo_worker.core.columns import PairBatch, RecordBlock
from apollo_worker.core.frames import Limits
from apollo_worker.ports import PairSink, ProgramObserver, ProgramResult
from apollo_worker.steps import doing

Encoding = Callable[[Dialogue], AsyncGenerator[Chunk, None]]


class ProgramSession:
    """A Mapper and a Reducer. Every call starts the program anew; cancelling one kills the program and all below it.

    The caller closes the iterators that it passes in, which a run leaves early when the program wants no more.
    """

    def __init__(self, context: ProgramContext, observer: ProgramObserver, *, group: Grouping) -> None:
        """`group` makes groups of sorted pairs; only a reducer that speaks frames needs it."""
        self._context = context
        self._observer = observer
        self._group = group

    async def map(self, records: AsyncIterator[RecordBlock], sink: PairSink) -> ProgramResult:
        return await self._run(lambda dialogue: dialogue.encode_records(records), sink)

    async def reduce(self, pairs: AsyncIterator[PairBatch], sink: PairSink) -> ProgramResult:
        return await self._run(lambda dialogue: dialogue.encode_pairs(pairs), sink)

    async def _run(self, encode: Encoding, sink: PairSink) -> ProgramResult:
        context = self._context
        directory = ProgramDirectory.make(context.work_root)
        try:
            with doing(Step.START):
                await in_thread(directory.fill, context.program, context.files)
            return await self._run_in(directory, encode, sink)
        finally:
            await to_the_end(in_thread(directory.remove))

    async def _run_in(self, directory: ProgramDirectory, encode: Encoding, sink: PairSink) -> ProgramResult:
        silence = Silence(self._context.timeout_ms)
        log = ProgramLog(silence, self._observer)
        try:
            dialogue = self._dialogue(directory, silence)
            try:
                return await self._converse(directory, dialogue, log, silence, encode, sink)
            finally:
                dialogue.close()
        finally:
            log.close()

    async def _converse(
        self,
        directory: ProgramDirectory,
        dialogue: Dialogue,
        log: ProgramLog,
        silence: Silence,
        encode: Encoding,
        sink: PairSink,
    ) -> ProgramResult:
        with doing(Step.START):
            process = await self._start(directory, dialogue, log)
        try:
            dialogue.program_started()
            log.program_started()
            self._observer.started(process.process_id)
            conversation = Conversation(self._context, process, dialogue, log, silence)
            async with aclosing(encode(dialogue)) as chunks:
                await conversation.hold(chunks, sink)
            return ProgramResult(conversation.input_records, dialogue.output_records)
        finally:
            await to_the_end(process.stop())

    def _dialogue(self, directory: ProgramDirectory, silence: Silence) -> Dialogue:
        context = self._context
        limits = Limits.of_budget(context.memory_budget_bytes)
        if context.protocol == "text":
            return TextDialogue(context.stdio, context.text, limits, silence)
        return FramesDialogue(
            directory.socket, hello_settings(context), limits, silence, group=self._group, observer=self._observer
        )

    async def _start(self, directory: ProgramDirectory, dialogue: Dialogue, log: ProgramLog) -> ProgramProcess:
        context, program = self._context, self._context.program
        env = program_environment(context, directory.work, directory.sdk, directory.socket)
        argv = command_line(program, directory.work)
        if isinstance(program, ArtifactProgram):
            self._check_interpreter(Path(argv[0]), env["PATH"])
        stdin, stdout = dialogue.stdin, log.write_end if dialogue.stdout is None else dialogue.stdout
        terminal = dialogue.stdout is None and context.watch.terminal >= 0
        if terminal:
            stdin = stdout = context.watch.terminal
            env["TERM"] = os.environ.get("TERM", "dumb")
        with context.sandbox.confinement(network=context.network) as confinement:
            await in_thread(confinement.allow, directory.work, directory.readable())
            order = ProgramOrder(
                [*context.watch.words, *argv],
                env,
                directory.work,
                stdin,
                stdout,
                log.write_end,
                context.rlimits,
                confinement,
                own_session=not terminal,
            )
            try:
                return await ProgramProcess.start(order)
            except ExecutionRefused as error:
                raise self._refused(_cause(argv, error)) from error

    def _check_interpreter(self, executable: Path, search_path: str) -> None:
        """ProgramStartFailed when `env` will not find a script's interpreter, which exec would not notice."""
        missing = start_failure.missing_env_interpreter(executable, search_path)
        if missing is not None:
            raise self._refused(missing)

    def _refused(self, cause: str) -> ProgramStartFailed:
        context = self._context
        return ProgramStartFailed(f"the {context.role} program `{context.program.title}` cannot be started: {cause}")


def _cause(argv: list[str], error: ExecutionRefused) -> str:
    return (
        os.strerror(error.error_number) if len(argv) > 1 else start_failure.explain(Path(argv[0]), error.error_number)
    )
