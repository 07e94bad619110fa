"""The one place in a worker where an attempt runs.

An attempt belongs to the slot, not to the call that started it: a broken stream leaves it running, only `cancel`
or the worker's end stops it.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from apollo_common.errors import WorkerBusy, WorkerDrained
from apollo_common.lifecycle import TaskOwner, cancel_and_wait, to_the_end
from apollo_common.logging import get_logger, log_context
from apollo_common.storage.port import AttemptAccess
from apollo_common.threads import in_thread
from apollo_proto.apollo.v1 import Accepted, Cancelled, Done, Failed, TaskAssignment
from apollo_worker.events import EventLog
from apollo_worker.failure import failed_event
from apollo_worker.observer import UNOBSERVED, WorkObserver, phase_of
from apollo_worker.sandbox.temporary import TemporaryPlace

CANCEL_GRACE_SECONDS = 10.0

_OUTCOMES: dict[type, str] = {Done: "succeeded", Failed: "failed", Cancelled: "cancelled"}  # as the API calls them

_log = get_logger(__name__)


class AttemptRunner(Protocol):
    async def run(self, assignment: TaskAssignment, events: EventLog) -> Done | Failed:
        """Run the attempt to its end, telling its story to `events`; the result ends the story."""
        ...

    async def renew(self, assignment: TaskAssignment, access: AttemptAccess) -> None:
        """From now on the attempt of this assignment calls its stores with other credentials."""
        ...

    async def close(self) -> None: ...


class AttemptSlot:
    """At most one attempt at a time; the story of the last one stays until the next begins."""

    def __init__(
        self,
        runner: AttemptRunner,
        observer: WorkObserver = UNOBSERVED.work,
        places: Sequence[TemporaryPlace] = (),
    ) -> None:
        """`places` are emptied after each attempt."""
        self._runner = runner
        self._observer = observer
        self._places = places
        self._spoilt = asyncio.Event()
        self._tasks = TaskOwner()
        self._task: asyncio.Task[None] | None = None
        self._events: EventLog | None = None
        self._closing = False
        self.draining = False
        """Whether it takes no attempt any more."""
        self._assignment: TaskAssignment | None = None

    @property
    def running(self) -> str:
        """The id of the attempt that runs, empty while idle."""
        return self._events.attempt_id if self._events is not None and self._busy else ""

    @property
    def _busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self, assignment: TaskAssignment) -> EventLog:
        """Begin an attempt. The same one again joins what is already there. WorkerBusy, WorkerDrained."""
        if self._events is not None and self._events.attempt_id == assignment.attempt_id:
            return self._events
        if self.draining:
            raise WorkerDrained("this worker was told to end")
        if self._busy:
            raise WorkerBusy(f"this worker runs attempt {self.running}")
        events = EventLog(assignment)
        events.publish(Accepted())
        self._events = events
        self._assignment = assignment
        self._task = self._tasks.spawn(self._run(assignment, events), name=f"attempt {assignment.attempt_id}")
        self._task.add_done_callback(lambda _: _end_cancelled(events, handed_back=self._closing))
        self._measure(self._task, assignment, events)
        return events

    def find(self, attempt_id: str) -> EventLog | None:
        """The story of the attempt that runs or ran last, if that is the one."""
        events = self._events
        return events if events is not None and events.attempt_id == attempt_id else None

    async def renew(self, attempt_id: str, access: AttemptAccess) -> None:
        """Give the attempt other credentials, if it runs."""
        if self._assignment is not None and self.running == attempt_id:
            await self._runner.renew(self._assignment, access)

    async def cancel(self, attempt_id: str) -> bool:
        """Stop the attempt and wait for its end, for a bounded time. Whether it was running."""
        if self._task is None or self.running != attempt_id:
            return False
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=CANCEL_GRACE_SECONDS)
        return True

    async def drain(self, within_seconds: float) -> None:
        """Take nothing more, and wait for the end of the attempt that runs, for a bounded time."""
        self.draining = True
        if self._task is not None and self._busy:
            _log.info("worker drains", attempt=self.running, within_seconds=within_seconds)
            await asyncio.wait({self._task}, timeout=within_seconds)

    async def until_spoilt(self) -> None:
        """Until an attempt has ended whose files the next one would find: then nothing more is taken."""
        await self._spoilt.wait()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """Stop whatever runs, for good: it goes back to the coordinator."""
        self.draining = self._closing = True
        if self._task is not None:
            await cancel_and_wait(self._task)
        await self._tasks.close()
        await self._runner.close()

    def _measure(self, task: "asyncio.Task[None]", assignment: TaskAssignment, events: EventLog) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()

        def ended(_: "asyncio.Task[None]") -> None:
            phase, outcome = phase_of(assignment.kind), _OUTCOMES.get(type(events.end), "")
            self._observer.attempt_ended(phase, outcome, clock() - started)

        task.add_done_callback(ended)

    async def _run(self, assignment: TaskAssignment, events: EventLog) -> None:
        with log_context(job=assignment.job_id, task=assignment.task_id, attempt=assignment.attempt_id):
            _log.info("attempt started", kind=assignment.kind.name)
            try:
                end = await self._runner.run(assignment, events)
            except Exception as error:  # noqa: BLE001 - whatever happens to an attempt is its result
                end = failed_event(error)
            finally:
                await to_the_end(self._empty_places())
            events.publish(end)
            if isinstance(end, Failed):
                _log.warning("attempt failed", reason=end.reason, message=end.message)
            else:
                _log.info("attempt done", output_records=end.output_records, output_bytes=end.output_bytes)

    async def _empty_places(self) -> None:
        for place in self._places:
            try:
                await in_thread(place.empty)
            except OSError as error:
                _log.error(
                    "the worker ends: an attempt has left what cannot be removed",
                    place=str(place.path),
                    error=error.strerror,
                )
                self.draining = True
                self._spoilt.set()


def _end_cancelled(events: EventLog, *, handed_back: bool) -> None:
    """A task that ends without a result was cancelled, perhaps before its first step."""
    if not events.ended:
        events.publish(Cancelled(handed_back=handed_back))
        _log.info("attempt cancelled", attempt=events.attempt_id)
