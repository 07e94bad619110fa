"""Adds up what one run of a program counts, and passes it on."""

from apollo_common.errors import ProgramProtocolError
from apollo_worker.ports import Counters, ProgramObserver

COUNTERS_LIMIT = 1000


class Tally:
    """A ProgramObserver in front of another one."""

    def __init__(self, observer: ProgramObserver) -> None:
        self._observer = observer
        self._size = 0
        self.counters: Counters = {}

    def started(self, process_id: int) -> None:
        self._observer.started(process_id)

    def counter(self, group: str, name: str, increment: int) -> None:
        """ProgramProtocolError when a program invents counters without end."""
        names = self.counters.setdefault(group, {})
        if name not in names:
            if self._size == COUNTERS_LIMIT:
                raise ProgramProtocolError(
                    f"the program uses more than {COUNTERS_LIMIT} counters; do not put data into their names"
                )
            self._size += 1
        names[name] = names.get(name, 0) + increment
        self._observer.counter(group, name, increment)

    def status(self, message: str) -> None:
        self._observer.status(message)

    def stderr(self, content: bytes) -> None:
        self._observer.stderr(content)
