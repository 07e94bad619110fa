#!/usr/bin/env python3
"""`-reducer aggregate`: adds up what mappers emit as `FUNCTION:KEY<TAB>VALUE`. A program for reduce and combine.

As a combiner it emits partial results of the same form, as a reducer `KEY<TAB>RESULT`.
Source: org.apache.hadoop.mapred.lib.aggregate of Hadoop 3.4.2.
"""

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Protocol, TextIO


class Aggregator(Protocol):
    """Takes the values of one key."""

    def add(self, value: str) -> None: ...

    def partial(self) -> list[str]: ...

    def report(self) -> str: ...


class Folded:
    """One number or text, folded from all values."""

    def __init__(
        self, read: Callable[[str], Any], fold: Callable[[Any, Any], Any], show: Callable[[Any], str] = str
    ) -> None:
        self.read, self.fold, self.show = read, fold, show
        self.result: Any = None

    def add(self, value: str) -> None:
        number = self.read(value)
        self.result = number if self.result is None else self.fold(self.result, number)

    def partial(self) -> list[str]:
        return [self.show(self.result)]

    def report(self) -> str:
        return self.show(self.result)


class Unique:
    """How many different values there are."""

    def __init__(self) -> None:
        self.values: dict[str, None] = {}

    def add(self, value: str) -> None:
        self.values[value] = None

    def partial(self) -> list[str]:
        return list(self.values)

    def report(self) -> str:
        return str(len(self.values))


class Histogram:
    """How often each value comes: number of values, least, middle and greatest count, their mean and deviation."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, value: str) -> None:
        item, tab, count = value.rpartition("\t")
        if not tab:
            item, count = value, "1"
        self.counts[item] = self.counts.get(item, 0) + int(count)

    def partial(self) -> list[str]:
        return [f"{item}\t{count}" for item, count in self.counts.items()]

    def report(self) -> str:
        counts = sorted(self.counts.values())
        mean = sum(counts) / len(counts)
        deviation = math.sqrt(sum((count - mean) ** 2 for count in counts) / len(counts))
        middle = counts[len(counts) // 2]
        numbers = (len(counts), counts[0], middle, counts[-1], java_double(mean), java_double(deviation))
        return "\t".join(map(str, numbers))


def java_double(value: float) -> str:
    """A number as Java prints a double: plain from 10^-3 to below 10^7, else with an exponent."""
    if math.isnan(value) or math.isinf(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(float(value))
    sign = "-" if value < 0 else ""
    exponent = int(f"{abs(value):.17e}".partition("e")[2])
    digits = repr(abs(value)).partition("e")[0].replace(".", "").strip("0")
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent}"


def utf_16(text: str) -> bytes:
    """Java compares texts by these units."""
    return text.encode("utf-16-be", "surrogatepass")


FUNCTIONS: dict[str, Callable[[], Aggregator]] = {
    "LongValueSum": lambda: Folded(int, lambda a, b: a + b),
    "LongValueMax": lambda: Folded(int, max),
    "LongValueMin": lambda: Folded(int, min),
    "DoubleValueSum": lambda: Folded(float, lambda a, b: a + b, java_double),
    "StringValueMax": lambda: Folded(str, lambda a, b: max(a, b, key=utf_16)),
    "StringValueMin": lambda: Folded(str, lambda a, b: min(a, b, key=utf_16)),
    "UniqValueCount": Unique,
    "ValueHistogram": Histogram,
}


def pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        key, _, value = line.rstrip("\n").partition("\t")
        yield key, value


def main() -> None:
    source = open(0, encoding="utf-8", errors="surrogateescape", newline="\n", closefd=False)  # noqa: SIM115
    target = open(1, "w", encoding="utf-8", errors="surrogateescape", newline="\n", closefd=False)  # noqa: SIM115
    with source, target:
        aggregate(source, target, combines=os.environ["APOLLO_ROLE"] == "combine")


def aggregate(source: TextIO, target: TextIO, *, combines: bool) -> None:
    for key, group in groupby(pairs(source), key=lambda pair: pair[0]):
        function, colon, name = key.partition(":")
        if not colon or function not in FUNCTIONS:
            sys.exit(f"{key!r} is no key for -reducer aggregate: write FUNCTION:KEY; {', '.join(FUNCTIONS)}")
        aggregator = FUNCTIONS[function]()
        for _, value in group:
            aggregator.add(value)
        if combines:
            target.writelines(f"{key}\t{partial}\n" for partial in aggregator.partial())
        else:
            target.write(f"{name}\t{aggregator.report()}\n")


if __name__ == "__main__":
    main()
