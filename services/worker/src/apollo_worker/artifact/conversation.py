"""A started program's whole conversation: feed, drain, log and clock at once, until its end is known and judged."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator

from apollo_common.errors import ProgramError, ProgramExited, ProgramReadNothing, ProgramTimeout
from apollo_common.lifecycle import to_the_end
from apollo_common.timings import Step
from apollo_worker.artifact.context import ProgramContext, ShellProgram
from apollo_worker.artifact.dialogue import Chunk, Dialogue
from apollo_worker.artifact.log import ProgramLog
from apollo_worker.artifact.process import ProgramExit, ProgramProcess
from apollo_worker.artifact.silence import Silence
from apollo_worker.ports import PairSink
from apollo_worker.steps import doing

EXIT_GRACE_S = 10.0  # for a program that broke the conversation off to end, which may tell why
_REFUSED = b"Permission denied"  # as libc and Python say EACCES
_GREP = re.compile(r"\b[ef]?grep\b")
_GREP_FOUND_NOTHING = 1  # and it says nothing
LOG_GRACE_S = 2.0  # the log of a dead program ends at once, unless something escaped and holds it open


class Conversation:
    """Held once. Any error of the program carries the tail of its log."""

    def __init__(
        self, context: ProgramContext, process: ProgramProcess, dialogue: Dialogue, log: ProgramLog, silence: Silence
    ) -> None:
        self._context = context
        self._process = process
        self._dialogue = dialogue
        self._log = log
        self._silence = silence
        self._has_input = False
        self._input_known = asyncio.Event()
        self.input_records = 0

    async def hold(self, chunks: AsyncIterator[Chunk], sink: PairSink) -> None:
        """Returns when the program has ended well and everything it wrote is in the sink."""
        log = asyncio.create_task(self._log.pump())
        feed = asyncio.create_task(self._feed(chunks))
        drain = asyncio.create_task(self._dialogue.drain(sink))
        ended = asyncio.create_task(self._process.ended())
        silent = asyncio.create_task(self._silence.exceeded())
        try:
            try:
                await self._until_ended(feed, drain, ended, silent, log)
                await self._judge(ended.result(), feed, drain)
            finally:
                await to_the_end(_cancelled(feed, drain, ended, silent))
            await log
        except ProgramError as error:
            await self._process.stop()
            await asyncio.wait([log], timeout=LOG_GRACE_S)
            error.stderr_tail = self._log.tail
            if isinstance(error, ProgramExited):
                error.args = (f"{error}{self._explanation(error.exit_status)}",)
            raise
        finally:
            await to_the_end(_cancelled(log))

    async def _until_ended(
        self,
        feed: "asyncio.Task[None]",
        drain: "asyncio.Task[None]",
        ended: "asyncio.Task[ProgramExit]",
        silent: "asyncio.Task[None]",
        log: "asyncio.Task[None]",
    ) -> None:
        pending: set[asyncio.Task[None] | asyncio.Task[ProgramExit]] = {feed, drain, ended, silent, log}
        while not ended.done():
            grace_s = EXIT_GRACE_S if self._dialogue.broken else None
            done, pending = await asyncio.wait(pending, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
            if ended in done:
                return
            for task in done & {feed, drain, log}:
                task.result()
            if silent in done:
                raise ProgramTimeout(
                    f"{self._subject} neither read nor wrote for {self._context.timeout_ms / 1000:g} s; "
                    "raise the job's timeoutSeconds if it needs longer for a record"
                )
            if not done:
                self._dialogue.check()

    async def _judge(self, exit_: ProgramExit, feed: "asyncio.Task[None]", drain: "asyncio.Task[None]") -> None:
        self._dialogue.program_ended()
        if exit_.signal:
            raise ProgramExited(f"{self._subject} was killed by {_signal_name(exit_.signal)}", signal=exit_.signal)
        if exit_.status:
            raise ProgramExited(f"{self._subject} ended with exit status {exit_.status}", exit_status=exit_.status)
        await drain
        self._dialogue.check()
        await self._input_known.wait()
        if feed.done():
            feed.result()
        await _cancelled(feed)
        if self._has_input and not self._context.ignore_input and not self._dialogue.has_read():
            raise ProgramReadNothing(
                f"{self._subject} ended with exit status 0 without reading any of its input; "
                "set ignoreInput if that is meant"
            )

    async def _feed(self, chunks: AsyncIterator[Chunk]) -> None:
        try:
            with doing(Step.START):
                await self._dialogue.opened()
            while (chunk := await self._next(chunks)) is not None:
                if chunk.records:
                    self._has_input = True
                    self._input_known.set()
                await self._dialogue.send(chunk)
                self.input_records += chunk.records
                del chunk  # it may be large, and the next one is being awaited
            await self._dialogue.end_input()
        except BrokenPipeError:  # it wants no more, as `head` does, or was gone before it was given anything
            await self._look_for_input(chunks)
        finally:
            self._input_known.set()

    async def _look_for_input(self, chunks: AsyncIterator[Chunk]) -> None:
        """Whether there was any: who reads nothing of it has failed."""
        while not self._has_input and (chunk := await self._next(chunks)) is not None:
            self._has_input = chunk.records > 0

    async def _next(self, chunks: AsyncIterator[Chunk]) -> Chunk | None:
        with self._silence.paused():
            return await anext(chunks, None)

    def _explanation(self, exit_status: int) -> str:
        if self._log.last_line:
            return f"; its standard error ends with: {self._log.last_line}{self._hint}"
        program = self._context.program
        if exit_status == _GREP_FOUND_NOTHING and isinstance(program, ShellProgram) and _GREP.search(program.command):
            return ", as grep does where no line matches: write `|| true` behind it if that is no failure"
        return ""

    @property
    def _hint(self) -> str:
        """For who wonders why a program may not do here what it may elsewhere."""
        if not self._context.sandbox.abi or _REFUSED not in self._log.tail:
            return ""
        return " (it runs in a sandbox: give it its files with the job, and `network: true` if it needs the network)"

    @property
    def _subject(self) -> str:
        return f"the {self._context.role} program `{self._context.program.title}`"


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name}; the kernel does that when memory runs out" if number == signal.SIGKILL else name


async def _cancelled(*tasks: "asyncio.Task[None] | asyncio.Task[ProgramExit]") -> None:
    """Cancel and wait for the end; what they raise is told already or does not matter any more."""
    for task in tasks:
        task.cancel()
    for task in (await asyncio.wait(tasks))[0]:
        if not task.cancelled():
            task.exception()
