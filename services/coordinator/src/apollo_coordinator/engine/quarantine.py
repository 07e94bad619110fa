"""What is kept of bad records, and which of them a job is said to have."""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from apollo_common.bad_records import MAX_QUARANTINE_BYTES
from apollo_common.errors import QuarantineFull, UnknownJob
from apollo_common.ids import AttemptId, TaskId, job_of
from apollo_coordinator.core import events
from apollo_coordinator.core.bad_records import bad_records, quarantining
from apollo_coordinator.core.model import Job
from apollo_coordinator.core.state import State
from apollo_coordinator.engine.retry import retried
from apollo_coordinator.engine.settings import EngineSettings
from apollo_coordinator.jobs import JobBadRecord
from apollo_coordinator.order import BadRecord
from apollo_coordinator.ports import BadRecordStore

PREVIEW_BYTES: Final = 200
"""Of a record that is listed."""

MAX_TOLD_BYTES: Final = 2 * MAX_QUARANTINE_BYTES
"""By one attempt: its worker keeps to the quarantine's bound, beside which it tells where each record was and why."""


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

    def intake(self, attempt: AttemptId) -> "Intake":
        """For an attempt that tells of its records, from its first on."""
        return Intake(attempt, self._keep)

    async def _keep(self, attempt: AttemptId, record: BadRecord) -> None:
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


class Intake:
    """What one attempt tells, in bounds that every worker of ours keeps: a program may have taken one over."""

    def __init__(self, attempt: AttemptId, keep: Callable[[AttemptId, BadRecord], Awaitable[None]]) -> None:
        self._attempt = attempt
        self._keep = keep
        self._records = 0
        self._room_bytes = MAX_TOLD_BYTES

    async def keep(self, record: BadRecord) -> None:
        """Returns once the record is durable, however long the volume is full, or the attempt has no say any more.

        QuarantineFull.
        """
        self._records += 1
        self._room_bytes -= len(record.content) + len(record.stderr_tail) + len(record.message) + len(record.input)
        if record.number != self._records or self._room_bytes < 0:
            raise QuarantineFull(f"the worker of {self._attempt} tells of bad records out of order, or of too many")
        await self._keep(self._attempt, record)


async def listed(store: BadRecordStore, job: Job, *, after: int, limit: int) -> Sequence[JobBadRecord]:
    """Records with numbers over `after`, in order, with the beginnings of their contents. `job` has its tasks."""
    found: list[JobBadRecord] = []
    for task, attempt, before, count in await _finds(store, job):
        if before + count > after and len(found) < limit:
            records = await store.of_attempt(
                attempt, after=max(0, after - before), limit=limit - len(found), content_bytes=PREVIEW_BYTES
            )
            found += [JobBadRecord(before + record.number, task, attempt, record) for record in records]
    return found


async def whole(store: BadRecordStore, job: Job, number: int) -> JobBadRecord:
    """One record with all of its content. UnknownJob when there is none with this number."""
    for task, attempt, before, count in await _finds(store, job):
        if before < number <= before + count:
            record = await store.get(attempt, number - before)
            if record is not None:
                return JobBadRecord(number, task, attempt, record)
    raise UnknownJob(f"job {job.id} has no bad record {number}")


class _Find(NamedTuple):
    task: TaskId
    attempt: AttemptId
    before: int  # how many records of the job come before those of the attempt
    records: int


async def _finds(store: BadRecordStore, job: Job) -> list[_Find]:
    finds: list[_Find] = []
    before = 0
    for task, attempt in quarantining(job):
        # 0: of an attempt that was not accepted, which only the store can tell.
        count = bad_records(task.counters) or await store.count(attempt)
        finds.append(_Find(task.id, attempt, before, count))
        before += count
    return finds
