"""Who hears of what the engine does, for metrics."""

from collections.abc import Sequence
from typing import Final, Protocol

from apollo_coordinator.core import events, facts
from apollo_coordinator.core.state import State


class EngineObserver(Protocol):
    """Called for every event: must be quick, and must not change anything."""

    def submitted(self) -> None:
        """A job was taken."""
        ...

    def handled(self, event: events.Event, outcome: Sequence[facts.Fact], state: State) -> None:
        """The core has decided and its facts are applied: `state` is what it is after the event."""
        ...

    def appended(self, count: int, seconds: float) -> None:
        """So many facts are safe in the journal, after one call."""
        ...

    def append_failed(self) -> None: ...


class Unobserved:
    def submitted(self) -> None: ...

    def handled(self, event: events.Event, outcome: Sequence[facts.Fact], state: State) -> None: ...

    def appended(self, count: int, seconds: float) -> None: ...

    def append_failed(self) -> None: ...


UNOBSERVED: Final = Unobserved()
