"""Server-sent events (WHATWG HTML, section 9.2): bytes in, events out. Pure."""

import json
from dataclasses import dataclass, field
from typing import Any

MAX_EVENT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One line of a job's story. `id` is None for progress, which is not kept and never told again."""

    kind: str
    body: dict[str, Any]
    id: int | None = None


@dataclass(slots=True)
class EventParser:
    """Feed it the stream as it comes; ValueError when it is no event stream of Apollo's."""

    _rest: bytes = b""
    _kind: str = "message"
    _id: int | None = None
    _data: list[str] = field(default_factory=list)

    def feed(self, chunk: bytes) -> list[JobEvent]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            raise ValueError(f"an event of more than {MAX_EVENT_BYTES} bytes")
        events = []
        for line in lines:
            event = self._line(line.removesuffix(b"\r").decode())
            if event is not None:
                events.append(event)
        return events

    def _line(self, line: str) -> JobEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = int(value)
        return None  # comments (no name) keep the connection alive

    def _dispatch(self) -> JobEvent | None:
        kind, number, data = self._kind, self._id, self._data
        self._kind, self._id, self._data = "message", None, []
        if not data:
            return None
        body = json.loads("\n".join(data))
        if not isinstance(body, dict):
            raise ValueError("an event whose data is no JSON object")  # noqa: TRY004  # documented: ValueError
        return JobEvent(kind, body, number)
