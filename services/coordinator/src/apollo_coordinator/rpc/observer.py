"""Who hears of the traffic with workers, for metrics."""

from typing import Final, Protocol, Self

OPENING: Final = "opening"
OPEN: Final = "open"


class LinkObserver(Protocol):
    """Called on the event loop; must not block."""

    def call_ended(self, method: str, result: str, seconds: float) -> None:
        """A call with one answer. `result`: as in apollo_common.calls."""
        ...

    def stream_changed(self, before: str, after: str) -> None:
        """The events of an attempt: OPENING until the first has come, then OPEN; empty before and after."""
        ...

    def stream_broke(self) -> None:
        """Before the attempt had ended; it is opened again, or given up."""
        ...


class Unobserved:
    def call_ended(self, method: str, result: str, seconds: float) -> None: ...

    def stream_changed(self, before: str, after: str) -> None: ...

    def stream_broke(self) -> None: ...


UNOBSERVED: Final = Unobserved()


class StreamWatch:
    """Tells of each change of one attempt's stream. Leaving the context ends it."""

    def __init__(self, observer: LinkObserver) -> None:
        self._observer = observer
        self._state = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.become("")

    def become(self, state: str) -> None:
        if state != self._state:
            self._observer.stream_changed(self._state, state)
            self._state = state
