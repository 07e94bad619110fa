"""Runs one attempt: its programs, its data, its story."""

import asyncio
from pathlib import Path

from apollo_common.errors import ProgramError
from apollo_common.lifecycle import cancel_and_wait
from apollo_common.storage.open import Stores
from apollo_common.storage.port import AttemptAccess
from apollo_common.threads import in_thread
from apollo_proto.apollo.v1 import Done, Failed, TaskAssignment
from apollo_worker.access import storage_access
from apollo_worker.cache import ArtifactCache
from apollo_worker.core.budget import MemoryLimit
from apollo_worker.events import EventLog
from apollo_worker.failure import failed_event, tell_of_memory
from apollo_worker.memory import MemoryMeter
from apollo_worker.observer import UNOBSERVED, Observers, phase_of
from apollo_worker.pipeline import Pipeline, Places
from apollo_worker.programs import AttemptPrograms, artifact_digests
from apollo_worker.reporting import AttemptReporter
from apollo_worker.sandbox.sandbox import Sandbox
from apollo_worker.steps import StepClock, timed_by


class Runner:
    """See apollo_worker.slot.AttemptRunner. Importing this module loads numpy and pyarrow."""

    def __init__(
        self,
        cache: ArtifactCache,
        *,
        work_dir: Path,
        scratch_limit_bytes: int,
        volume: Path,
        memory: MemoryLimit,
        sandbox: Sandbox,
        observers: Observers = UNOBSERVED,
        meter: MemoryMeter | None = None,
    ) -> None:
        """`work_dir` is this worker's own; `volume` is shared by all workers of a job."""
        self._cache = cache
        self._memory = memory
        self._meter = meter or MemoryMeter()
        self._sandbox = sandbox
        self._work_root = work_dir / "attempts"
        self._observers = observers
        self._stores = Stores(observer=observers.storage)
        self._places = Places(self._stores, volume, work_dir / "scratch", scratch_limit_bytes)

    async def run(self, assignment: TaskAssignment, events: EventLog) -> Done | Failed:
        """An attempt that fails, for whatever reason, tells so in its result."""
        clock = StepClock()
        reporter = AttemptReporter(
            events, self._meter.peak_bytes, self._observers.work, phase=phase_of(assignment.kind), clock=clock
        )
        kills = await in_thread(self._meter.kills)
        reporting = asyncio.create_task(reporter.report_until_cancelled(), name="report")
        try:
            with timed_by(clock), self._cache.pinned(artifact_digests(assignment)):
                budget_bytes = self._memory.budget_bytes(assignment.memory_budget_bytes)
                programs = AttemptPrograms(
                    assignment, self._cache, self._work_root, reporter, budget_bytes, self._sandbox
                )
                pipeline = Pipeline(assignment, programs, self._places, reporter, budget_bytes)
                try:
                    return await pipeline.run()
                except ProgramError as error:
                    if await in_thread(self._meter.kills) > kills:
                        tell_of_memory(error, self._memory.limit_bytes, await in_thread(self._meter.peak_bytes))
                    failed = failed_event(error)
                    failed.retryable = failed.retryable and not pipeline.searched_in_vain
                failed.bad_record = await pipeline.first_bad_record(failed)
                return failed
        except Exception as error:  # noqa: BLE001 - whatever happens to an attempt is its result
            return failed_event(error, reporter.stderr_tail)
        finally:
            await cancel_and_wait(reporting)
            reporter.finish()

    async def renew(self, assignment: TaskAssignment, access: AttemptAccess) -> None:
        work, output, place = assignment.map, assignment.output, assignment.intermediate
        if work is not None:
            await self._stores.renew(storage_access(work.access), access.input)
        if output is not None:
            await self._stores.renew(storage_access(output.access), access.output)
        if place is not None:
            await self._stores.renew(storage_access(place.access), access.intermediate)

    async def close(self) -> None:
        await self._stores.close()
