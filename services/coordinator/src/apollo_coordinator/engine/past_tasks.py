"""Tasks of archived jobs that are not in memory any more: folded from the job's facts when somebody asks for them."""

import asyncio
from collections.abc import Sequence

from apollo_common.errors import UnknownJob
from apollo_common.ids import JobId
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import Job
from apollo_coordinator.core.state import State
from apollo_coordinator.engine.recovery import fold
from apollo_coordinator.ports import Journal, StoredFact

KEPT_JOBS = 2
"""That were asked for last: a list is read page by page."""

FACTS_PAGE = 500
"""Facts that are folded in one go, off the event loop."""


class PastTasks:
    def __init__(self, journal: Journal, limits: Limits) -> None:
        self._journal = journal
        self._limits = limits
        self._kept: dict[JobId, Job] = {}  # the one that was asked for last comes last
        self._folding = asyncio.Lock()  # one job at a time, for it may have as many tasks as there may be

    async def job(self, job: JobId) -> Job:
        """The job with its tasks. UnknownJob when it is forgotten meanwhile."""
        async with self._folding:
            found = self._kept.pop(job, None) or await self._fold(job)
            self._kept[job] = found
            while len(self._kept) > KEPT_JOBS:
                del self._kept[next(iter(self._kept))]
            return found

    def forget(self, job: JobId) -> None:
        self._kept.pop(job, None)

    async def _fold(self, job: JobId) -> Job:
        state = State(self._limits)
        after = 0
        while page := await self._journal.read_job(job, after=after, limit=FACTS_PAGE):
            await asyncio.to_thread(_fold_page, state, page)
            after = page[-1].job_sequence
        found = state.jobs.get(job)
        if found is None or not found.status.ended:
            raise UnknownJob(f"there is no job {job} any more")
        return found


def _fold_page(state: State, page: Sequence[StoredFact]) -> None:
    for stored in page:
        fold(state, stored)
