"""Finds the records that make a program fail, by halving: which records to try next, and what follows.

Pure: who asks runs the program. A record is bad if the program fails on it alone.
"""

from collections.abc import Generator
from math import ceil, log2
from typing import NamedTuple


class Span(NamedTuple):
    """Records `start` to `stop`, counted from 0."""

    start: int
    stop: int

    @property
    def records(self) -> int:
        return self.stop - self.start


Bisection = Generator[Span, bool, bool]
"""Yields what to try, from the first record to the last; is sent whether the program failed on it."""


def bisection(span: Span) -> Bisection:
    """Try a span (of one record or more) and go into it if it fails; returns whether it did.

    A tried span of one record that fails is a bad record; they come in order. If the program fails on every span that
    holds a bad record, all are found, and with k of them among n records `max_runs(n, k)` bounds the tries if no
    span fails without one: below the whole there are ceil(log2 n) levels of halves. A half is tried only if the whole
    of it has failed, so on each level at most k wholes are halved, into 2k halves. Where the first half passes it is
    the second that makes the whole fail, which needs no try of its own unless it is a single record.
    """
    failed = yield span
    if failed and span.records > 1:
        yield from _halves(span)
    return failed


def _halves(span: Span) -> Generator[Span, bool, None]:
    middle = (span.start + span.stop) // 2
    first, second = Span(span.start, middle), Span(middle, span.stop)
    first_failed = yield from bisection(first)
    if first_failed or second.records == 1:
        yield from bisection(second)
    else:
        yield from _halves(second)


def max_runs(records: int, bad: int) -> int:
    """The most tries that a bisection of so many records takes to find `bad` of them."""
    return 1 + 2 * bad * ceil(log2(records))
