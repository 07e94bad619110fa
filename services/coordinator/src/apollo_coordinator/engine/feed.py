"""Live streams of job events. A reader follows the journal at its own pace, so a slow one costs no memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from apollo_common.ids import JobId
from apollo_coordinator.core import facts
from apollo_coordinator.core.state import State
from apollo_coordinator.engine.settings import EngineSettings
from apollo_coordinator.engine.story import progress_event, to_event
from apollo_coordinator.jobs import JobEvent
from apollo_coordinator.ports import Clock, Journal


@dataclass(slots=True, eq=False)
class _Reader:
    facts: asyncio.Event = field(default_factory=asyncio.Event)
    progress: bool = True


class EventFeed:
    def __init__(self, journal: Journal, clock: Clock, settings: EngineSettings, state: State) -> None:
        self._journal = journal
        self._clock = clock
        self._settings = settings
        self._state = state
        self._last: dict[JobId, int] = {}  # the event that ended the job
        self._readers: dict[JobId, list[_Reader]] = {}

    def recorded(self, fact: facts.DurableFact, job_sequence: int) -> None:
        """There is a new fact to read."""
        if isinstance(fact, facts.JobEnded):
            self._last[fact.job] = job_sequence
        for reader in self._readers.get(fact.job, ()):
            reader.facts.set()

    def ended(self, job: JobId, last_event: int) -> None:
        """The job is known to have ended with that event, which was recorded before a restart."""
        self._last[job] = last_event

    def last_event(self, job: JobId) -> int:
        """The event that ended the job. KeyError before."""
        return self._last[job]

    def progressed(self, job: JobId) -> None:
        for reader in self._readers.get(job, ()):
            reader.progress = True

    def forget(self, job: JobId) -> None:
        self._last.pop(job, None)

    async def follow(self, job: JobId, after: int) -> AsyncIterator[JobEvent]:
        """Facts at once, progress now and then, until the job has ended or is forgotten."""
        reader = _Reader()
        self._readers.setdefault(job, []).append(reader)
        try:
            while job in self._state.jobs and after < self._last.get(job, after + 1):
                reader.facts.clear()
                page = await self._journal.read_job(job, after=after, limit=self._settings.events_page)
                for fact in page:
                    after = fact.job_sequence
                    event = to_event(fact)
                    yield event
                    if event.last:
                        return
                if not page and not await self._facts_come(reader) and reader.progress:
                    reader.progress = False
                    yield progress_event(self._state.jobs[job], self._state.queues.get(job), self._clock.now_ms())
        finally:
            self._readers[job].remove(reader)
            if not self._readers[job]:
                del self._readers[job]

    async def _facts_come(self, reader: _Reader) -> bool:
        """Wait for facts, at most until progress is due."""
        try:
            async with asyncio.timeout(self._settings.progress_interval_ms / 1000):
                await reader.facts.wait()
        except TimeoutError:
            return False
        return True
