"""Who hears of a worker's attempts and of its calls to S3, for metrics."""

from dataclasses import dataclass
from typing import Final, Protocol

from apollo_common.storage.observer import UNOBSERVED as NO_STORAGE
from apollo_common.storage.observer import StorageObserver

SPILLS: Final = "spills"
SHUFFLE_READ_BYTES: Final = "shuffle_read_bytes"
"""Sorted runs that were written, map output that was read. Counted beside the built-in counters."""


class WorkObserver(Protocol):
    """Called on the event loop; must not block."""

    def attempt_ended(self, phase: str, outcome: str, seconds: float) -> None:
        """`phase`: map, reduce, or other where the kind is none of them. `outcome`: succeeded, failed or cancelled."""
        ...

    def counted(self, name: str, increment: int) -> None:
        """A built-in counter of the attempt that runs, SPILLS or SHUFFLE_READ_BYTES, has risen."""
        ...


class Unobserved:
    def attempt_ended(self, phase: str, outcome: str, seconds: float) -> None: ...

    def counted(self, name: str, increment: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Observers:
    work: WorkObserver
    storage: StorageObserver


UNOBSERVED: Final = Observers(Unobserved(), NO_STORAGE)
