"""The story of one attempt as numbered events, kept so that a broken stream can be resumed.

What is kept is bounded: a progress report replaces the one before, and of the program's log only the newest
RETAINED_LOG_BYTES stay; bad records stay, whose bytes who finds them has bounded. Numbers of dropped events are gaps to
a late reader, never repeats.
"""

import asyncio
from collections.abc import AsyncIterator

from apollo_proto.apollo.v1 import (
    Accepted,
    BadRecord,
    Cancelled,
    Done,
    Failed,
    LogChunk,
    Progress,
    Running,
    TaskAssignment,
    TaskEvent,
)

RETAINED_LOG_BYTES = 1 << 20
LOG_CHUNK_BYTES = 64 << 10

Story = Accepted | Running | Progress | LogChunk | BadRecord | Done | Failed | Cancelled
_FIELDS: dict[type, str] = {
    Accepted: "accepted",
    Running: "running",
    Progress: "progress",
    LogChunk: "log",
    BadRecord: "bad_record",
    Done: "done",
    Failed: "failed",
    Cancelled: "cancelled",
}
_ENDS = (Done, Failed, Cancelled)


class EventLog:
    """Written by the attempt, followed by any number of streams, each at its own pace."""

    def __init__(self, assignment: TaskAssignment) -> None:
        self.job_id = assignment.job_id
        self.task_id = assignment.task_id
        self.attempt_id = assignment.attempt_id
        self.end: Done | Failed | Cancelled | None = None
        self._last_sequence = 0
        self._kept: dict[int, TaskEvent] = {}
        self._progress_sequence = 0
        self._log_bytes = 0
        self._news = asyncio.Event()

    @property
    def ended(self) -> bool:
        return self.end is not None

    def publish(self, story: Story) -> None:
        """Append an event; nothing may follow the end."""
        if self.ended:
            raise RuntimeError(f"{self.attempt_id}: an event after the end")
        self._last_sequence += 1
        sequence = self._last_sequence
        if isinstance(story, Progress):
            self._kept.pop(self._progress_sequence, None)
            self._progress_sequence = sequence
        event = TaskEvent(job_id=self.job_id, task_id=self.task_id, attempt_id=self.attempt_id, sequence=sequence)
        setattr(event, _FIELDS[type(story)], story)
        self._kept[sequence] = event
        if isinstance(story, LogChunk):
            self._log_bytes += len(story.content)
            self._drop_old_log()
        if isinstance(story, _ENDS):
            self.end = story
        self._news.set()
        self._news = asyncio.Event()

    async def follow(self, after_sequence: int = 0) -> AsyncIterator[TaskEvent]:
        """What is kept with a greater number, then what comes, until the attempt has ended."""
        known = after_sequence
        while True:
            news = self._news
            for event in [event for sequence, event in self._kept.items() if sequence > known]:
                yield event
                known = event.sequence
            if self.ended and known >= self._last_sequence:
                return
            if news is self._news:
                await news.wait()

    def _drop_old_log(self) -> None:
        while self._log_bytes > RETAINED_LOG_BYTES:
            sequence, event = next((number, event) for number, event in self._kept.items() if event.log is not None)
            self._log_bytes -= len(event.log.content) if event.log is not None else 0
            del self._kept[sequence]
