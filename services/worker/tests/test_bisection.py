"""Bisection finds every bad record, and nothing else, within its bound of tries."""

from collections.abc import Callable
from contextlib import suppress
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_worker.core.bisection import Span, bisection, max_runs


def played(count: int, fails: Callable[[Span], bool]) -> tuple[list[int], int]:
    """The bad records that a bisection of `count` records finds, and how many tries it takes."""
    search = bisection(Span(0, count))
    bad: list[int] = []
    runs = 0
    span = next(search)
    with suppress(StopIteration):
        while True:
            assert 0 <= span.start < span.stop <= count
            runs += 1
            failed = fails(span)
            if failed and span.records == 1:
                bad.append(span.start)
            span = search.send(failed)
    return bad, runs


@st.composite
def _records(draw: st.DrawFn) -> tuple[int, set[int]]:
    count = draw(st.integers(1, 600))
    return count, draw(st.sets(st.integers(0, count - 1), max_size=40))


@given(_records())
def test_every_bad_record_is_found_in_order_within_the_bound(records: tuple[int, set[int]]) -> None:
    count, bad = records
    found, runs = played(count, lambda span: any(span.start <= record < span.stop for record in bad))
    assert found == sorted(bad)
    assert runs <= 1 + 2 * len(bad) * ceil(log2(count))


@pytest.mark.parametrize("bad", [0, 511, 1023])
def test_one_bad_record_of_a_thousand_takes_about_ten_tries(bad: int) -> None:
    found, runs = played(1024, lambda span: span.start <= bad < span.stop)
    assert found == [bad]
    assert runs <= 1 + 10 + 10


@given(st.integers(1, 300))
def test_a_program_that_fails_on_everything_makes_all_records_bad(count: int) -> None:
    found, runs = played(count, lambda _: True)
    assert found == list(range(count))
    assert runs == 2 * count - 1  # every node of the tree


@given(st.integers(2, 300))
def test_what_fails_only_together_has_no_bad_record(count: int) -> None:
    found, runs = played(count, lambda span: span.records == count)
    assert found == []
    assert runs <= 2 + ceil(log2(count))


def test_a_single_record_is_tried_once() -> None:
    assert played(1, lambda _: False) == ([], 1)
    assert played(1, lambda _: True) == ([0], 1)


def test_the_bound_of_a_single_record_and_of_many() -> None:
    assert max_runs(1, 1) == 1
    assert max_runs(1000, 3) == 1 + 2 * 3 * 10
