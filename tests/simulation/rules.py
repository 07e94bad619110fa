"""How a broken rule is told: by the name of the check that saw it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import structlog

from apollo_coordinator.core.transitions import InvalidTransition


class RuleBroken(AssertionError):
    """`rule` is the name of the check that spoke."""

    def __init__(self, rule: str, what: object) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule


def require(holds: object, check: Callable[..., object], what: object) -> None:
    if not holds:
        raise RuleBroken(check.__name__, what)


def rule_of(error: Exception) -> str:
    """Which rule an error tells of: the name of a check, an invariant of the core, or its transition table."""
    if isinstance(error, RuleBroken):
        return error.rule
    if isinstance(error, InvalidTransition):
        return "the transition table"
    return str(error).partition(":")[0]


@contextmanager
def defects_of_the_log(defects: list[Exception]) -> Iterator[None]:
    """No log lines; what is logged with a traceback is a defect that somebody has caught."""

    def note(_logger: Any, _method: str, entry: Any) -> NoReturn:
        error = entry.get("exc_info")
        if error:
            told = error if isinstance(error, Exception) else RuleBroken(defects_of_the_log.__name__, entry)
            defects.append(told)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[note])
    try:
        yield
    finally:
        structlog.configure(**before)
