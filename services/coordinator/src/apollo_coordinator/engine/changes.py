"""What changes about jobs and workers, for readers who show them all.

A reader is told of each job and each worker once for all that happened since it was last told, so a slow one costs no
more than there are jobs and workers.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import islice

from apollo_common.ids import AttemptId, JobId, WorkerId, job_of
from apollo_coordinator.core import facts
from apollo_coordinator.core.state import State
from apollo_coordinator.engine.settings import EngineSettings
from apollo_coordinator.jobs import Changes

MAX_CHANGES = 100
"""Jobs, and workers, of one telling; the others are told of in the next."""

_UNSHOWN = (
    facts.ProgressSeen,
    facts.UploadOpened,
    facts.PoolScaled,
    facts.StragglersSought,
    facts.CleanUpStarted,
    facts.JobCleaned,
    facts.JobArchived,
    facts.TasksDropped,
)
"""Change nothing that a list of jobs or workers shows."""


@dataclass(slots=True, eq=False)
class _Reader:
    news: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: dict[JobId, None] = field(default_factory=dict)
    workers: dict[WorkerId, None] = field(default_factory=dict)


class ChangeFeed:
    def __init__(self, settings: EngineSettings, state: State) -> None:
        self._settings = settings
        self._state = state
        self._readers: list[_Reader] = []

    def noted(self, fact: facts.Fact) -> None:
        """The state has changed by this fact."""
        if not self._readers or isinstance(fact, _UNSHOWN):
            return
        jobs, worker = self._subjects(fact)
        if not jobs and worker is None:
            return
        for reader in self._readers:
            reader.jobs.update(dict.fromkeys(jobs))
            if worker is not None:
                reader.workers[worker] = None
            reader.news.set()

    def _subjects(self, fact: facts.Fact) -> tuple[list[JobId], WorkerId | None]:
        """The jobs and the worker that the fact is about."""
        if isinstance(fact, facts.TroubleSeen | facts.TroubleOver):
            return jobs_in_trouble(fact, self._state), None
        attempt: AttemptId | None = getattr(fact, "attempt", None)
        job: JobId | None = job_of(attempt) if attempt is not None else getattr(fact, "job", None)
        return [job] if job is not None else [], getattr(fact, "worker", None)

    async def follow(self) -> AsyncIterator[Changes]:
        """What changes from now on, soon after it did."""
        reader = _Reader()
        self._readers.append(reader)
        try:
            while True:
                await reader.news.wait()
                yield self._take(reader)
                await asyncio.sleep(self._settings.progress_interval_ms / 1000)
        finally:
            self._readers.remove(reader)

    def _take(self, reader: _Reader) -> Changes:
        """The reader's next telling; what is left for a later one stays."""
        jobs, workers = list(islice(reader.jobs, MAX_CHANGES)), list(islice(reader.workers, MAX_CHANGES))
        for job in jobs:
            del reader.jobs[job]
        for worker in workers:
            del reader.workers[worker]
        if not reader.jobs and not reader.workers:
            reader.news.clear()
        known_jobs, known_workers = self._state.jobs, self._state.workers
        return Changes(
            jobs=tuple(known_jobs[job] for job in jobs if job in known_jobs),
            workers=tuple(known_workers[worker] for worker in workers if worker in known_workers),
            gone_jobs=tuple(job for job in jobs if job not in known_jobs),
            gone_workers=tuple(worker for worker in workers if worker not in known_workers),
        )


def jobs_in_trouble(fact: facts.TroubleSeen | facts.TroubleOver, state: State) -> list[JobId]:
    """Those whose trouble the fact may have changed."""
    if isinstance(fact, facts.TroubleOver) or fact.job is None:
        return list(state.queues)
    return [fact.job]
