"""Structured logs of both services: one line per event, JSON for machines or plain text for people.

Ids (job, task, attempt, worker) are bound to the context, so every line can be followed by id, those of libraries
included. Values whose names speak of secrets never reach a line.
"""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Literal, TextIO

LogFormat = Literal["json", "console"]

_SECRET_WORDS = ("token", "secret", "password", "authorization", "credential", "access_key")
_REDACTED = "[redacted]"
# These libraries log requests, headers or every frame below warning level.
_QUIET_LIBRARIES = (
    *("aioboto3", "aiobotocore", "boto3", "botocore", "urllib3"),
    *("aiohttp.access", "aiosqlite", "asyncio", "grpclib", "h2", "hpack"),
)


@contextmanager
def _without_rich() -> Iterator[None]:
    """Import structlog without rich, which it would load for pretty tracebacks: 0.3 s of every process's start."""
    loaded = sys.modules.get("rich")
    if loaded is None:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if loaded is None:
            del sys.modules["rich"]


with _without_rich():
    import structlog

get_logger = structlog.stdlib.get_logger


def configure_logging(
    service: str, *, log_format: LogFormat = "json", level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Send structlog's and the standard library's records to `stream` (default: standard error), one way for both."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _redact,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: list[structlog.typing.Processor] = (
        [_named(service), structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if log_format == "json"
        else [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


@contextmanager
def log_context(**ids: str) -> Iterator[None]:
    """Bind ids to every line logged inside, in this task and those it starts."""
    with structlog.contextvars.bound_contextvars(**ids):
        yield


def bind_log_context(**ids: str) -> None:
    """Bind ids for the rest of the current context: a worker's id for the life of its process."""
    structlog.contextvars.bind_contextvars(**ids)


def _named(service: str) -> structlog.typing.Processor:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in event:
        if any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = _REDACTED
    return event
