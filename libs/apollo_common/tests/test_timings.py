"""Timings are added up and taken away step by step; every step has a field."""

from dataclasses import fields

from apollo_common.timings import Step, Timings


def test_every_step_has_a_field_and_every_field_a_step():
    assert [entry.name for entry in fields(Timings)] == [f"{step}_ms" for step in Step]


def test_they_are_added_and_taken_away_step_by_step():
    one = Timings(*range(1, 11))
    other = Timings(*range(10, 110, 10))
    assert one.plus(other) == Timings(11, 22, 33, 44, 55, 66, 77, 88, 99, 110)
    assert one.plus(other).plus(other, -1) == one
    assert one.by_step() == dict(zip(Step, range(1, 11), strict=True))


def test_seconds_become_whole_milliseconds():
    assert Timings.of_seconds({Step.READ: 0.0126, Step.SORT: 2}) == Timings(read_ms=13, sort_ms=2000)
