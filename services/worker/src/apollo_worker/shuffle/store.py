"""Where map outputs lie, so that every worker of a job reads what any of them wrote: the port."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from apollo_common.assignment import MapOutputRef
from apollo_worker.shuffle.disk import Space
from apollo_worker.shuffle.scratch import Scratch
from apollo_worker.shuffle.segments import Run, SegmentReader


class MapOutputStore(Protocol):
    """A map output is two files below a path of its attempt's own; a reduce is told the accepted attempts' paths."""

    def space(self) -> Space:
        """For the files of one map output, on what `directory` lies on."""
        ...

    def directory(self, path: str) -> Path:
        """Where an attempt writes the files of the map output `path`."""
        ...

    async def publish(self, path: str) -> None:
        """Show the written files to all workers. One that fails or is cancelled leaves nothing in the store.

        VolumeFull; errors of apollo_common.storage.port.ObjectStore.
        """
        ...

    async def runs(
        self, outputs: Sequence[MapOutputRef], partition: int, reader: SegmentReader, scratch: Scratch
    ) -> list[Run]:
        """The runs of one partition, by map task, then by emission, for `reader` to read.

        FetchFailed names the map output that is missing or damaged; VolumeFull, ScratchExceeded; errors as above.
        """
        ...
