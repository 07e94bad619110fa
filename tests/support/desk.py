"""Plays the coordinator for one real worker: gives it attempts, publishes what they wrote."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from apollo_common.assignment import MapOutputRef, Split, SplitPiece
from apollo_common.ids import JobId, attempt_id, map_task_id, reduce_task_id
from apollo_common.storage.open import Stores
from apollo_common.storage.port import StorageAccess, Upload
from apollo_coordinator.core.model import Task, TaskKind
from apollo_coordinator.core.spec import JobSpec
from apollo_coordinator.order import (
    AttemptDone,
    AttemptOrder,
    AttemptReport,
    IntermediatePlace,
    MapOutputs,
    OutputTarget,
)
from apollo_coordinator.ports import WorkerLink

JOB = JobId("wordcount")
NO_ACCESS = StorageAccess()


@dataclass(frozen=True)
class Desk:
    link: WorkerLink
    directory: Path
    uploads: dict[str, Upload] = field(default_factory=dict)
    intermediate: IntermediatePlace | None = None  # None: the worker's volume

    async def run(self, order: AttemptOrder) -> list[AttemptReport]:
        order = replace(order, intermediate=self.intermediate)
        return [report async for report in self.link.run(order)]

    async def map(self, spec: JobSpec, text: Path, *, index: int = 0) -> tuple[list[AttemptReport], MapOutputRef]:
        size = text.stat().st_size
        version = await self._version(text)
        split = Split((SplitPiece(text.as_uri(), 0, size, size, version),))
        task = Task(map_task_id(JOB, index), index, TaskKind.MAP, split=split)
        attempt = attempt_id(task.id, 0)
        path = f"{JOB}/{task.id}/{attempt}"
        target = await self.target(task) if not spec.n_reducers else None
        order = AttemptOrder(
            JOB, task, attempt, 0, spec, NO_ACCESS, NO_ACCESS, output=target, output_path="" if target else path
        )
        return await self.run(order), MapOutputRef(task.id, attempt, path)

    async def reduce(self, spec: JobSpec, outputs: list[MapOutputRef], *, partition: int) -> list[AttemptReport]:
        task = Task(reduce_task_id(JOB, partition), partition, TaskKind.REDUCE)
        return await self.run(
            AttemptOrder(
                JOB,
                task,
                attempt_id(task.id, 0),
                0,
                spec,
                NO_ACCESS,
                NO_ACCESS,
                map_outputs=MapOutputs(outputs),
                output=await self.target(task),
            )
        )

    async def target(self, task: Task) -> OutputTarget:
        url = (self.directory / "out" / task.id).as_uri()
        upload = await (await Stores().open(url, NO_ACCESS)).create_upload(url, metadata={})
        self.uploads[task.id] = upload
        return OutputTarget(url, upload.upload_id)

    async def publish(self, task: str, done: AttemptDone) -> bytes:
        """The part's bytes, once committed."""
        upload = self.uploads[task]
        await (await Stores().open(upload.url, NO_ACCESS)).complete_upload(upload, done.parts)
        content = (self.directory / "out" / task).read_bytes()
        assert hashlib.sha256(content).hexdigest() == done.output_sha256
        assert len(content) == done.output_bytes
        return content

    async def _version(self, text: Path) -> str:
        info = await (await Stores().open(text.as_uri(), NO_ACCESS)).stat(text.as_uri())
        assert info is not None
        return info.version


def done_of(reports: list[AttemptReport]) -> AttemptDone:
    assert isinstance(reports[-1], AttemptDone), reports[-1]
    return reports[-1]
