"""Where an attempt's time goes: the steps that can hold it up, and how long each did."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Step(StrEnum):
    """In the order in which a record meets them."""

    START = "start"  # the program is put in its place and started, until it runs
    SEARCH = "search"  # a map runs the program on parts of its split, to find bad records
    READ = "read"  # a map waits for its input, a reduce for map outputs
    MERGE = "merge"  # a reduce brings its input into the order of the keys
    SEND = "send"  # the program is given its input
    PROGRAM = "program"  # nothing of Apollo's is at work: the program is, or the built-in in its place
    RECEIVE = "receive"  # what the program wrote is taken
    SORT = "sort"  # a map brings its output into the order of partitions and keys
    WRITE = "write"  # sorted runs or the output part are written
    COMMIT = "commit"  # what was written is made to last, and shown or uploaded to its end

    __hash__ = str.__hash__  # Enum's own is a call in Python, and steps are looked up at every mark


_FIELDS = {step: f"{step}_ms" for step in Step}


@dataclass(frozen=True, slots=True)
class Timings:
    """Of one attempt they add up to its time on the worker: what goes on at once shares a moment evenly."""

    start_ms: int = 0
    search_ms: int = 0
    read_ms: int = 0
    merge_ms: int = 0
    send_ms: int = 0
    program_ms: int = 0
    receive_ms: int = 0
    sort_ms: int = 0
    write_ms: int = 0
    commit_ms: int = 0

    @classmethod
    def of_seconds(cls, seconds: Mapping[Step, float]) -> Self:
        return cls(**{_FIELDS[step]: round(1000 * spent) for step, spent in seconds.items()})

    def by_step(self) -> dict[Step, int]:
        """Milliseconds."""
        return {step: getattr(self, field) for step, field in _FIELDS.items()}

    @property
    def total_ms(self) -> int:
        return sum(self.by_step().values())

    def plus(self, other: "Timings", sign: int = 1) -> "Timings":
        """Step by step; with `sign` -1 the other is taken away."""
        return Timings(
            self.start_ms + sign * other.start_ms,
            self.search_ms + sign * other.search_ms,
            self.read_ms + sign * other.read_ms,
            self.merge_ms + sign * other.merge_ms,
            self.send_ms + sign * other.send_ms,
            self.program_ms + sign * other.program_ms,
            self.receive_ms + sign * other.receive_ms,
            self.sort_ms + sign * other.sort_ms,
            self.write_ms + sign * other.write_ms,
            self.commit_ms + sign * other.commit_ms,
        )


NO_TIMINGS = Timings()
