"""What the running program can ask and say from anywhere: its context, counters, status and raw output."""

from apollo_sdk.link import Link
from apollo_sdk.wire import WorkerProtocolError

_LONGEST_NUMBER = 10  # digits of a u32


class Context:
    """Where the program runs. `input` and `offset` are those of the current record, for mappers."""

    __slots__ = ("attempt", "input", "job_id", "offset", "params", "partition", "role", "task_id")

    def __init__(self) -> None:
        self.fill({})

    def fill(self, settings: dict[str, str]) -> None:
        """Begin anew with what a worker's HELLO tells."""
        self.role = settings.get("role", "")
        self.job_id = settings.get("job_id", "")
        self.task_id = settings.get("task_id", "")
        self.attempt = _number(settings, "attempt")
        self.partition = _number(settings, "partition")
        self.params = {key.removeprefix("param."): text for key, text in settings.items() if key.startswith("param.")}
        self.input = ""
        self.offset: int | None = None


def _number(settings: dict[str, str], name: str) -> int:
    text = settings.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise WorkerProtocolError(f"the worker's {name} is no number: {text!r}")
    return int(text)


class _Current:
    link: Link | None = None


context = Context()


def attach(link: Link) -> None:
    """Make `link` the one that speaks for the program, and fill in the context from its settings."""
    _Current.link = link
    context.fill(link.settings)


def counter(group: str, name: str, increment: int = 1) -> None:
    """Add to a counter of the job. Cheap enough for hundreds a second, not for every record."""
    _link().counter(group, name, increment)


def status(message: str) -> None:
    """Say what the program is doing, in a line."""
    _link().status(message)


def write(content: bytes) -> None:
    """Bytes that go to the output part as they are. For reducers, and for mappers of a map-only job."""
    _link().write(content)


def _link() -> Link:
    if _Current.link is None:
        raise RuntimeError("only a program that runs can do that: call it below apollo_sdk.run()")
    return _Current.link
