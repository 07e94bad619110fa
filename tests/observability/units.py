"""What a PromQL expression measures, derived from the names of its metrics and from what it does with them.

A measure is a product of powers: `rate(x_bytes_total[5m])` is bytes per second. Names follow Prometheus' conventions
(https://prometheus.io/docs/practices/naming): the base unit ends the name, before `_total` and a histogram's endings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import promql_parser as promql


@dataclass(frozen=True)
class Measure:
    """Powers of each unit; all zero: a share, such as failed attempts of all attempts."""

    bytes: int = 0
    seconds: int = 0
    items: int = 0

    def __mul__(self, other: "Measure") -> "Measure":
        return Measure(self.bytes + other.bytes, self.seconds + other.seconds, self.items + other.items)

    def __truediv__(self, other: "Measure") -> "Measure":
        return Measure(self.bytes - other.bytes, self.seconds - other.seconds, self.items - other.items)


class UnitMismatch(Exception):
    """Two measures that differ are added, subtracted or compared; or what never falls is expected of a gauge."""


BYTES, SECONDS, ITEMS, SHARE = Measure(bytes=1), Measure(seconds=1), Measure(items=1), Measure()

SHOWN_AS: Mapping[str, frozenset[Measure]] = {
    # Grafana's name of a unit -> what it may show; "s" and "bytes" also for the mean of one item.
    "bytes": frozenset({BYTES, BYTES / ITEMS}),
    "binBps": frozenset({BYTES / SECONDS}),
    "s": frozenset({SECONDS, SECONDS / ITEMS}),
    "percentunit": frozenset({SHARE}),
    "suffix:x": frozenset({SHARE}),
    "short": frozenset({ITEMS}),
    "bool_yes_no": frozenset({ITEMS}),
    **dict.fromkeys(("cps", "ops", "reqps", "recps"), frozenset({ITEMS / SECONDS})),
}

_ENDINGS: Mapping[str, Measure] = {"_bytes": BYTES, "_seconds": SECONDS, "_ratio": SHARE}
_PER_SECOND = frozenset({"rate", "irate", "deriv"})
_COUNTING = frozenset({"changes", "resets", "absent", "absent_over_time", "count_over_time", "present_over_time"})
_TIMES = frozenset({"time", "timestamp"})
_OF_COUNTERS = frozenset({"rate", "irate", "increase", "resets"})
_COUNTERS = ("_total", "_bucket", "_sum", "_count")


def measure(expression: str, recorded: Mapping[str, str]) -> Measure:
    """Of an expression; `recorded` are the recording rules, whose names say less. UnitMismatch, ValueError."""
    found = _measure(promql.parse(expression), recorded)
    if found is None:
        raise ValueError(f"{expression}: a number measures nothing")
    return found


def metrics(expression: str) -> set[str]:
    """The names of the series that it reads."""
    return {selector.name for selector in selectors(promql.parse(expression)) if selector.name}


def selectors(node: object) -> Iterable[promql.VectorSelector]:
    """All that an expression reads."""
    match node:
        case promql.VectorSelector():
            yield node
        case promql.MatrixSelector():
            yield node.vector_selector
        case promql.BinaryExpr():
            yield from selectors(node.lhs)
            yield from selectors(node.rhs)
        case promql.Call():
            for argument in node.args:
                yield from selectors(argument)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr() | promql.AggregateExpr():
            yield from selectors(node.expr)


def _measure(node: promql.Expr, recorded: Mapping[str, str]) -> Measure | None:
    """None: a plain number, which takes the measure of what it is used with."""
    match node:
        case promql.NumberLiteral():
            return None
        case promql.VectorSelector():
            return measure(recorded[node.name], recorded) if node.name in recorded else _of_metric(node.name or "")
        case promql.MatrixSelector():
            return _measure(node.vector_selector, recorded)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return _measure(node.expr, recorded)
        case promql.AggregateExpr():
            counts = str(node.op) in ("count", "group", "count_values")
            return ITEMS if counts else _measure(node.expr, recorded)
        case promql.Call():
            return _of_call(node, recorded)
        case promql.BinaryExpr():
            left, right = _measure(node.lhs, recorded), _measure(node.rhs, recorded)
            return _of_operation(str(node.op), left, right, node)
    raise ValueError(f"not thought of: {node}")


def _of_metric(name: str) -> Measure:
    if name.endswith(("_bucket", "_count", "_info")):
        return ITEMS
    stem = name.removesuffix("_sum").removesuffix("_total")
    return next((measure for ending, measure in _ENDINGS.items() if stem.endswith(ending)), ITEMS)


def _of_call(node: promql.Call, recorded: Mapping[str, str]) -> Measure | None:
    function = node.func.name
    for selector in selectors(node):
        if function in _OF_COUNTERS and not (selector.name or "").endswith(_COUNTERS):
            raise UnitMismatch(f"{function} of {selector.name}, which is no counter")
    if function in _TIMES:
        return SECONDS
    if function in _COUNTING:
        return ITEMS
    if function == "histogram_quantile":
        (histogram,) = {selector.name for selector in selectors(node) if selector.name}
        return _of_metric((_metric_of(histogram, recorded)).removesuffix("_bucket"))
    of_arguments = [found for argument in node.args if (found := _measure(argument, recorded)) is not None]
    if not of_arguments:
        return None
    return of_arguments[0] / SECONDS if function in _PER_SECOND else of_arguments[0]


def _metric_of(name: str, recorded: Mapping[str, str]) -> str:
    """The one metric behind a recording rule."""
    if name not in recorded:
        return name
    (metric,) = metrics(recorded[name])
    return metric


def _of_operation(operation: str, left: Measure | None, right: Measure | None, node: object) -> Measure | None:
    if operation in ("*", "/"):
        if right is None or (left is None and operation == "*"):
            return right if left is None else left
        left = left or SHARE
        return left * right if operation == "*" else left / right
    if None not in (left, right) and left != right and operation not in ("and", "unless"):
        raise UnitMismatch(f"{left} {operation} {right} in {node}")
    return right if left is None else left
