"""A real worker process whose attempts follow a script instead of running a program.

`python -m support.scripted_worker apollo-worker` takes the same settings as the worker's own command. The parameter
`script` of an attempt says what it does.
"""

import asyncio
import os
import sys

from apollo_common.assignment import encode_counters
from apollo_common.errors import ProgramExited
from apollo_common.logging import configure_logging
from apollo_proto.apollo.v1 import Done, Failed, LogChunk, Progress, Running, TaskAssignment
from apollo_worker.app import serve
from apollo_worker.cache import ArtifactCache
from apollo_worker.events import EventLog
from apollo_worker.lifetime import bind_to_parent
from apollo_worker.memory import MemoryMeter
from apollo_worker.observer import Observers
from apollo_worker.settings import WorkerSettings

COMMAND = (sys.executable, "-m", "support.scripted_worker", "apollo-worker")
STEP_SECONDS = 0.05


class ScriptedRunner:
    def __init__(self, settings: WorkerSettings, cache: ArtifactCache, observers: Observers) -> None:
        pass

    async def run(self, assignment: TaskAssignment, events: EventLog) -> Done | Failed:
        """`succeed`: at once. `steps:N`: N progress reports first. `hang`: reports without end. `crash`: fails.
        `die`: ends the worker's process, without a word.
        `eat`: reports without end, and takes another 8 MiB of memory before each.
        """
        verb, _, count = assignment.params["script"].partition(":")
        events.publish(Running(process_id=1))
        if verb == "die":
            os._exit(9)
        if verb == "crash":
            raise ProgramExited("the program exited with status 3", exit_status=3)
        steps = {"succeed": 0, "hang": 1 << 30, "eat": 1 << 30}.get(verb, int(count or 0))
        log_bytes = 0
        eaten: list[bytes] = []
        meter = MemoryMeter()
        for step in range(1, steps + 1):
            line = f"step {step}\n".encode()
            events.publish(LogChunk(content=line, offset=log_bytes))
            log_bytes += len(line)
            if verb == "eat":
                eaten.append(b"x" * (8 << 20))
            peak_bytes = meter.peak_bytes()
            events.publish(
                Progress(input_bytes=step, input_bytes_total=steps, counters=b"{}", memory_peak_bytes=peak_bytes)
            )
            await asyncio.sleep(STEP_SECONDS)
        return Done(counters=encode_counters({"apollo": {"steps": steps}}))

    async def close(self) -> None:
        pass


def main() -> None:
    settings = WorkerSettings.load()
    configure_logging("worker")
    if not settings.parent_pid or bind_to_parent(settings.parent_pid):
        asyncio.run(serve(settings, ScriptedRunner))


if __name__ == "__main__":
    main()
