"""What is kept of bad records, and which of them a job is said to have."""

import random
from collections.abc import Callable, Sequence

from apollo_common.errors import UnknownJob
from apollo_common.ids import AttemptId, job_of
from apollo_coordinator.core import events
from apollo_coordinator.core.bad_records import bad_records, quarantining
from apollo_coordinator.core.model import Job
from apollo_coordinator.core.state import State
from apollo_coordinator.engine.retry import retried
from apollo_coordinator.engine.settings import EngineSettings
from apollo_coordinator.jobs import JobBadRecord
from apollo_coordinator.order import BadRecord
from apollo_coordinator.ports import BadRecordStore

PREVIEW_BYTES = 200
"""Of a record that is listed."""


class Quarantine:
    """Keeps what attempts find, before their result is heard of."""

    def __init__(
        self,
        store: BadRecordStore,
        state: State,
        post: Callable[[events.Event], None],
        settings: EngineSettings,
        jitter: random.Random,
    ) -> None:
        self._store = store
        self._state = state
        self._post = post
        self._backoff = settings.quarantine_backoff
        self._jitter = jitter

    async def keep(self, attempt: AttemptId, record: BadRecord) -> None:
        """Returns once the record is durable, however long the volume is full, or the attempt has no say any more."""

        async def put() -> None:
            if self._state.running(attempt) is not None:
                await self._store.put(attempt, record)

        await retried(
            put,
            self._backoff,
            self._jitter,
            what=f"bad record {record.number} of {attempt}",
            delayed=lambda error: self._post(events.QuarantineDelayed(job_of(attempt), str(error))),
        )


async def listed(store: BadRecordStore, job: Job, *, after: int, limit: int) -> Sequence[JobBadRecord]:
    """Records with numbers over `after`, in order, with the beginnings of their contents. `job` has its tasks."""
    found: list[JobBadRecord] = []
    number = 0  # of the records that come before
    for task, attempt in quarantining(job):
        count = bad_records(task.counters)  # 0: of an attempt that was not accepted, which only the store can tell
        if not count or number + count > after:
            records = await store.of_attempt(attempt, content_bytes=PREVIEW_BYTES)
            found += [JobBadRecord(number + record.number, task.id, attempt, record) for record in records]
            count = len(records)
        number += count
        if number >= after + limit:
            break
    return [record for record in found if record.number > after][:limit]


async def whole(store: BadRecordStore, job: Job, number: int) -> JobBadRecord:
    """One record with all of its content. UnknownJob when there is none with this number."""
    for record in await listed(store, job, after=number - 1, limit=1):
        content = await store.get(record.attempt, record.record.number)
        if record.number == number and content is not None:
            return JobBadRecord(number, record.task, record.attempt, content)
    raise UnknownJob(f"job {job.id} has no bad record {number}")
