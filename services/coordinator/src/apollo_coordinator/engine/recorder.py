"""Facts go to the journal in order, many at once; commands run when the facts before them are safe."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import cast

from apollo_common.backoff import Backoff
from apollo_common.errors import TemporaryError, VolumeFull
from apollo_common.ids import JobId
from apollo_common.logging import get_logger
from apollo_coordinator.core import commands, facts
from apollo_coordinator.core.codec import encode
from apollo_coordinator.engine.observer import EngineObserver
from apollo_coordinator.ports import Journal, StoredFact

LONG_PLAN_SPLITS = 1_000  # with more, encoding a plan would hold up the event loop: a third of a second for 100,000

_log = get_logger(__name__)


class Recorder:
    """Group commit: while one batch is being written, the next gathers.

    What waits is bounded by what runs: no attempt begins and no job is taken while the journal cannot be written.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        backoff: Backoff,
        jitter: random.Random,
        observer: EngineObserver,
        dispatch: Callable[[commands.Command], None],
        recorded: Callable[[facts.DurableFact, int], None],
        stalled: Callable[[str], None],
        written: Callable[[str], None],
    ) -> None:
        """`recorded` hears of each safe fact with its number within its job, before `dispatch` of what follows;
        `stalled` why the journal cannot be written, `written` that this is over.
        """
        self._journal = journal
        self._backoff = backoff
        self._jitter = jitter
        self._observer = observer
        self._dispatch = dispatch
        self._recorded = recorded
        self._tell_stalled = stalled
        self._tell_written = written
        self._trouble = ""
        self._facts: list[facts.DurableFact] = []
        self._commands: list[commands.Command] = []
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written = asyncio.Condition()
        self._queued = 0  # facts given to `record`, and how many of them are safe
        self._safe = 0
        self._sequence = 0
        self._job_sequences: dict[JobId, int] = {}
        self._append_began: float | None = None
        self._closing = False
        self.stalled = False

    def resume(self, last_sequence: int) -> None:
        """Go on counting after what is in the journal already."""
        self._sequence = last_sequence

    def resume_job(self, stored: StoredFact) -> None:
        self._job_sequences[stored.job] = stored.job_sequence

    def forget(self, job: JobId) -> None:
        self._job_sequences.pop(job, None)

    @property
    def waiting_facts(self) -> int:
        """How many are not safe yet."""
        return len(self._facts)

    @property
    def append_age_seconds(self) -> float:
        """How long the append that is under way has taken so far; 0 without one."""
        return 0.0 if self._append_began is None else asyncio.get_running_loop().time() - self._append_began

    def record(self, new_facts: Sequence[facts.Fact], new_commands: Sequence[commands.Command]) -> None:
        """Queue durable facts for the journal, and commands to run after them."""
        before = len(self._facts)
        self._facts.extend(cast(facts.DurableFact, fact) for fact in new_facts if fact.durable)
        self._queued += len(self._facts) - before
        self._commands.extend(new_commands)
        if self._facts or self._commands:
            self._wake.set()

    async def caught_up(self) -> None:
        """Wait until everything recorded so far is safe. VolumeFull while the journal cannot be written."""
        wanted = self._queued
        async with self._written:
            await self._written.wait_for(lambda: self._safe >= wanted or self.stalled)
        if self._safe < wanted:
            raise VolumeFull("this is under way, but the coordinator's journal cannot be written; free some space")

    async def record_first(self, fact: facts.DurableFact) -> None:
        """Write one fact before anything comes of it. VolumeFull, and then it is as if nothing had been.

        What has gathered goes first: the fact may rest on it, as a job does on the end of the one that had its output.
        """
        async with self._writing:
            await self._write_gathered()
            await self._write([fact])

    async def run(self) -> None:
        """Write until `finish`, and what has gathered by then. May be cancelled: the rest never happened."""
        while self._facts or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            due, self._commands = self._commands, []
            await self._write_until_safe()
            if not self._closing:
                for command in due:
                    self._dispatch(command)

    def finish(self) -> None:
        """Let `run` end when what has gathered is written; no command runs any more."""
        self._closing = True
        self._wake.set()

    async def _write_until_safe(self) -> None:
        failures = 0
        while True:
            try:
                async with self._writing:
                    await self._write_gathered()
            except TemporaryError as error:
                failures += 1
                await self._stall(str(error))
                _log.error("the journal cannot be written", failures=failures, reason=error.reason, error=str(error))
                await asyncio.sleep(self._backoff.pause_ms(failures, self._jitter) / 1000)
            else:
                await self._stall("")
                return

    async def _write_gathered(self) -> None:
        batch = self._facts.copy()
        if batch:
            await self._write(batch)
            del self._facts[: len(batch)]
            self._safe += len(batch)

    async def _write(self, batch: Sequence[facts.DurableFact]) -> None:
        sequences: dict[JobId, int] = {}
        stored = []
        for number, fact in enumerate(batch, self._sequence + 1):
            job_sequence = sequences.get(fact.job, self._job_sequences.get(fact.job, 0)) + 1
            sequences[fact.job] = job_sequence
            stored.append(StoredFact(number, fact.job, job_sequence, fact.at_ms, *await _encoded(fact)))
        await self._append(stored)
        self._sequence += len(stored)
        self._job_sequences.update(sequences)
        for fact, kept in zip(batch, stored, strict=True):
            self._recorded(fact, kept.job_sequence)

    async def _append(self, batch: Sequence[StoredFact]) -> None:
        clock = asyncio.get_running_loop().time
        self._append_began = began = clock()
        try:
            await self._journal.append(batch)
        except TemporaryError:
            self._observer.append_failed()
            raise
        finally:
            self._append_began = None
        self._observer.appended(len(batch), clock() - began)

    async def _stall(self, trouble: str) -> None:
        """`trouble`: why the journal cannot be written; empty: it can be."""
        over, self._trouble = self._trouble, trouble
        self.stalled = bool(trouble)
        async with self._written:
            self._written.notify_all()
        if over != trouble:
            if over:
                self._tell_written(over)
            if trouble:
                self._tell_stalled(trouble)


async def _encoded(fact: facts.DurableFact) -> tuple[str, str]:
    if isinstance(fact, facts.MapsPlanned) and len(fact.splits) > LONG_PLAN_SPLITS:
        return await asyncio.to_thread(encode, fact)
    return encode(fact)
