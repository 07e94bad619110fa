"""Who hears of a worker's attempts and of its calls to S3, for metrics."""

from dataclasses import dataclass
from typing import Final, Protocol

from apollo_common.storage.observer import UNOBSERVED as NO_STORAGE
from apollo_common.storage.observer import StorageObserver
from apollo_common.timings import Step
from apollo_proto.apollo.v1 import TaskKind

SPILLS: Final = "spills"
SHUFFLE_READ_BYTES: Final = "shuffle_read_bytes"
"""Sorted runs that were written, map output that was read. Counted beside the built-in counters."""


_PHASES: Final = {TaskKind.SAMPLE: "map", TaskKind.MAP: "map", TaskKind.REDUCE: "reduce"}
"""A sample runs the mapper."""


def phase_of(kind: TaskKind) -> str:
    return _PHASES.get(kind, "other")


class WorkObserver(Protocol):
    """Called on the event loop; must not block."""

    def attempt_ended(self, phase: str, outcome: str, seconds: float) -> None:
        """`phase`: map, reduce, or other where the kind is none of them. `outcome`: succeeded, failed or cancelled."""
        ...

    def spent(self, phase: str, step: Step, seconds: float) -> None:
        """An attempt of the phase was held up by the step for so much longer."""
        ...

    def counted(self, name: str, increment: int) -> None:
        """A built-in counter of the attempt that runs, SPILLS or SHUFFLE_READ_BYTES, has risen."""
        ...


class Unobserved:
    def attempt_ended(self, phase: str, outcome: str, seconds: float) -> None: ...

    def spent(self, phase: str, step: Step, seconds: float) -> None: ...

    def counted(self, name: str, increment: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Observers:
    work: WorkObserver
    storage: StorageObserver


UNOBSERVED: Final = Observers(Unobserved(), NO_STORAGE)
