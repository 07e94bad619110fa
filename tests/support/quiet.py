"""No log lines: for tests that meet thousands of faults on purpose, where rendering them would cost the most."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import structlog


def _drop(_logger: Any, _method: str, _event: Any) -> NoReturn:
    raise structlog.DropEvent


@contextmanager
def quiet_logs() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**before)
