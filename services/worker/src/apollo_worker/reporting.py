"""What the coordinator hears of a running attempt: progress as the heartbeat, and the program's log, rate-limited."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from apollo_common.assignment import encode_counters
from apollo_common.errors import ProgramProtocolError
from apollo_common.threads import in_thread
from apollo_common.timings import Step, Timings
from apollo_proto.apollo import v1
from apollo_proto.apollo.v1 import LogChunk, Progress, Running
from apollo_worker.events import LOG_CHUNK_BYTES, EventLog
from apollo_worker.failure import STDERR_TAIL_BYTES
from apollo_worker.observer import SHUFFLE_READ_BYTES, SPILLS, UNOBSERVED, WorkObserver
from apollo_worker.ports import Counters
from apollo_worker.steps import StepClock

TICK_SECONDS: Final = 0.5
HEARTBEAT_TICKS: Final = 4
LOG_BYTES_PER_TICK: Final = 256 << 10
MAX_COUNTERS: Final = 1000
MAX_STATUS_CHARS: Final = 1000
BUILT_IN_GROUP: Final = "apollo"


class AttemptReporter:
    """Collects counters, status and standard error as they come; `report_until_cancelled` tells them in time.

    A ProgramObserver for the map or reduce program and, by `combiner_observer`, for the combiner.
    """

    def __init__(
        self,
        events: EventLog,
        memory_peak_bytes: Callable[[], int] = lambda: 0,
        observer: WorkObserver = UNOBSERVED.work,
        *,
        phase: str = "other",
        clock: StepClock | None = None,
    ) -> None:
        """`memory_peak_bytes` reads a file of the kernel's."""
        self._events = events
        self._observer = observer
        self._phase = phase
        self._clock = clock or StepClock()
        self._spent_seconds = dict.fromkeys(Step, 0.0)  # as the observer was told
        self._memory_peak_bytes = memory_peak_bytes
        self._peak_bytes = 0
        self._counters: Counters = {BUILT_IN_GROUP: {}}
        self._counter_count = 0
        self._status = ""
        self._log = bytearray()
        self._log_offset = 0  # bytes that were told before
        self._log_dropped_bytes = 0
        self._changed = False
        self.stderr_tail = b""
        self.input_bytes = 0
        self.input_bytes_total = 0

    def started(self, process_id: int) -> None:
        self._events.publish(Running(process_id=process_id))

    def add(self, name: str, increment: int) -> None:
        """Raise a counter of the built-in group."""
        own = self._counters[BUILT_IN_GROUP]
        own[name] = own.get(name, 0) + increment
        self._observer.counted(name, increment)
        self._changed = True

    def spilled(self, runs: int, records: int) -> None:
        self.add("spilled_records", records)
        self._observer.counted(SPILLS, runs)

    def fetched(self, map_output_bytes: int) -> None:
        """A reduce has read so many more bytes of map outputs."""
        self._observer.counted(SHUFFLE_READ_BYTES, map_output_bytes)

    def counter(self, group: str, name: str, increment: int) -> None:
        """Raise a counter of a program's. ProgramProtocolError for one too many, or one of the built-in group."""
        check_counter_group(group, name)
        known = self._counters.get(group, {})
        if name not in known:
            if self._counter_count == MAX_COUNTERS:
                raise ProgramProtocolError(
                    f"the attempt's programs use more than {MAX_COUNTERS} counters; do not put data into their names"
                )
            self._counter_count += 1
        self._counters.setdefault(group, {})[name] = known.get(name, 0) + increment
        self._changed = True

    def status(self, message: str) -> None:
        self._status = message[:MAX_STATUS_CHARS]
        self._changed = True

    def stderr(self, content: bytes) -> None:
        self.stderr_tail = (self.stderr_tail + content[-STDERR_TAIL_BYTES:])[-STDERR_TAIL_BYTES:]
        room = LOG_BYTES_PER_TICK - len(self._log)
        self._log += content[:room]
        self._log_dropped_bytes += max(0, len(content) - room)

    def found(self, record: v1.BadRecord) -> None:
        """A record that the mapper fails on."""
        self._events.publish(record)

    def read(self, input_bytes: int) -> None:
        """So many more bytes of the input have been read."""
        self.input_bytes += input_bytes
        self._changed = True

    def counters(self) -> Counters:
        return {group: dict(names) for group, names in self._counters.items()}

    def timings(self) -> v1.Timings:
        """What held the attempt up so far."""
        spent_seconds = self._clock.spent_seconds()
        for step, seconds in spent_seconds.items():
            self._observer.spent(self._phase, step, seconds - self._spent_seconds[step])
        self._spent_seconds = spent_seconds
        return v1.Timings(**asdict(Timings.of_seconds(spent_seconds)))

    async def report_until_cancelled(self) -> None:
        quiet_ticks = 0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._peak_bytes = await in_thread(self._memory_peak_bytes)
            self.flush_log()
            quiet_ticks += 1
            if self._changed or quiet_ticks >= HEARTBEAT_TICKS:
                self._publish_progress()
                quiet_ticks = 0

    def finish(self) -> None:
        """Tell what has not been told: the attempt is over."""
        self.flush_log()
        if self._changed:
            self._publish_progress()
        else:
            self.timings()

    def flush_log(self) -> None:
        """Tell what standard error has said since the last time."""
        if self._log_dropped_bytes:
            self._log += f"\n[apollo: {self._log_dropped_bytes} bytes of standard error dropped here]\n".encode()
            self._log_dropped_bytes = 0
        for start in range(0, len(self._log), LOG_CHUNK_BYTES):
            content = bytes(self._log[start : start + LOG_CHUNK_BYTES])
            self._events.publish(LogChunk(content=content, offset=self._log_offset + start))
        self._log_offset += len(self._log)
        self._log.clear()

    def _publish_progress(self) -> None:
        self._changed = False
        self._events.publish(
            Progress(
                input_bytes=self.input_bytes,
                input_bytes_total=self.input_bytes_total,
                counters=encode_counters(self._counters),
                status=self._status,
                memory_peak_bytes=self._peak_bytes,
                timings=self.timings(),
            )
        )


def check_counter_group(group: str, name: str) -> None:
    """ProgramProtocolError for the built-in group, in which no program counts."""
    if group == BUILT_IN_GROUP:
        raise ProgramProtocolError(
            f"the program counts {name!r} in the group {BUILT_IN_GROUP!r}, which is Apollo's own; use another group"
        )
