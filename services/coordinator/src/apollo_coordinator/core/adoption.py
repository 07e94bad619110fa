"""What a redrive takes over from the job whose bad records it maps again: finished map outputs, and those records.

The map tasks of a redrive are those of the earlier job, which have their outputs from the start, and right behind each
that skipped records further ones over these. So a key's values arrive in the order of the input's splits.
"""

from dataclasses import dataclass

from apollo_common.assignment import Counters
from apollo_common.ids import AttemptId


@dataclass(frozen=True, slots=True)
class AdoptedOutput:
    """The accepted output of a map attempt of the earlier job."""

    attempt: AttemptId
    path: str  # below the intermediate volume or prefix
    size_bytes: int
    records: int


@dataclass(frozen=True, slots=True)
class BadRecordRange:
    """`count` bad records of a map attempt of the earlier job, of which the `first` has that number there."""

    attempt: AttemptId
    first: int
    count: int
    size_bytes: int


Origin = AdoptedOutput | BadRecordRange


@dataclass(frozen=True, slots=True)
class Adoption:
    origins: tuple[Origin, ...]  # of each map task
    counters: Counters  # of all adopted outputs, added up
    splitters: str | None = None  # the earlier job's, packed

    @property
    def adopted(self) -> int:
        """How many map tasks have their outputs from the start."""
        return sum(isinstance(origin, AdoptedOutput) for origin in self.origins)
