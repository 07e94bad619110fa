"""Map outputs as files on a volume that all workers mount: written and read in place."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from apollo_common.assignment import MapOutputRef
from apollo_worker.shuffle.disk import VOLUME, Space
from apollo_worker.shuffle.scratch import Scratch
from apollo_worker.shuffle.segments import Run, SegmentReader
from apollo_worker.shuffle.threads import in_stoppable_thread


class VolumeStore:
    """See apollo_worker.shuffle.store.MapOutputStore."""

    def __init__(self, volume: Path) -> None:
        self._volume = volume

    def space(self) -> Space:
        return Space(VOLUME)

    def directory(self, path: str) -> Path:
        return self._volume / path

    async def publish(self, path: str) -> None:  # noqa: ARG002 - the port's signature
        """The writer has forced the files to the volume: they are there for all."""
        await asyncio.sleep(0)

    async def runs(
        self,
        outputs: Sequence[MapOutputRef],
        partition: int,
        reader: SegmentReader,
        scratch: Scratch,  # noqa: ARG002 - the port's signature
    ) -> list[Run]:
        def found() -> list[Run]:
            return [run for output in outputs for run in reader.runs(output, self._volume, partition)]

        return await in_stoppable_thread(found, reader.stop)
