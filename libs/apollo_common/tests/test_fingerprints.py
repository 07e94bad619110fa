"""Failures with one cause have one fingerprint, and those with another have another."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.fingerprints import FINGERPRINT_DIGITS, fingerprint, worn_down
from apollo_common.telling_lines import MAX_LINE_CHARACTERS

TRACEBACK = """\
Traceback (most recent call last):
  File "{directory}/map.py", line {line}, in words
    return int(word)
ValueError: invalid literal for int() with base 10: {value!r}
"""


def of(stderr: str = "", **changes) -> str:
    failure = {"reason": "program_exited", "program": "map.py", "message": "it ended", "exit_status": 1, "signal": None}
    return fingerprint(**(failure | changes), stderr=stderr)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("bad record 17", "bad record -4.25e+7"),
        ("KeyError: 'plum'", "KeyError: 'it costs 5'"),
        ("KeyError: b'plum'", "KeyError: b''"),
        ('parsing "a": invalid', 'parsing "\'": invalid'),
        ("unknown column `a`", "unknown column `b c`"),
        ("cannot read /data/a/b.csv", "cannot read ../other/b.csv"),
        ("cannot read s3://a/b.csv", "cannot read https://host:9/x?y=z"),
        ("2026-11-23T12:00:00Z died", "2027-01-02T03:04:05.678+01:00 died"),
        ("object at 0x7f00ab died", "object at 0x1 died"),
        ("request 9f3c1d2e-aaaa-bbbb-cccc-0123456789ab died", "request 00000000-0000-0000-0000-000000000000 died"),
        ("in k3v9d2m7q4xa-m-00001-2: died", "in abcdefghijkl-m-00700-0: died"),
        ("lost deadbeef01 here", "lost 0123456789 here"),
        ("made tmpab3x_q9z here", "made tmp12345678 here"),
        (
            "thread 'main' (1) panicked at src/map.rs:1:28:\nindex out of bounds: the len is 3 but the index is 91",
            "thread 'w' (2) panicked at src/map.rs:1:28:\nindex out of bounds: the len is 4 but the index is 92",
        ),
        (
            "Error: bad record 17\n    at words (/tmp/a/map.js:2:9)\n",
            "Error: bad record 18\n    at words (/tmp/b/map.js:2:9)\n",
        ),
    ],
)
def test_what_differs_from_record_to_record_is_left_out(one, other):
    assert of(one) == of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("bad record 17", "bad header 17"),
        ("KeyError: 'plum'", "ValueError: 'plum'"),
        ("./m.sh: line 3: foo: command not found", "./m.sh: line 3: bar: command not found"),
        ("Error: bad\n    at words (/tmp/a/map.js:2:9)\n", "Error: bad\n    at words (/tmp/a/map.js:3:9)\n"),
        ("boom\n\tat Map.map(Map.java:17)\n", "boom\n\tat Map.map(Map.java:18)\n"),
        (
            "panic: bad\n\ngoroutine 1 [running]:\nmain.w()\n\t/a/map.go:3 +0x39\n",
            "panic: bad\n\ngoroutine 1 [running]:\nmain.w()\n\t/a/map.go:4 +0x39\n",
        ),
        ("thread 'm' panicked at src/map.rs:1:28:\nbad", "thread 'm' panicked at src/map.rs:2:28:\nbad"),
    ],
)
def test_what_tells_causes_apart_is_kept(one, other):
    assert of(one) != of(other)


@given(
    directory=st.from_regex(r"(/[a-z0-9_.]+){0,3}", fullmatch=True),
    value=st.text(st.characters(codec="ascii", exclude_characters="'\"")),
)
def test_one_place_in_a_program_is_one_cause_whatever_the_record(directory, value):
    told = of(TRACEBACK.format(directory=directory, line=12, value=value))
    assert told == of(TRACEBACK.format(directory="/tmp/x", line=12, value="y"))
    assert told != of(TRACEBACK.format(directory="/tmp/x", line=13, value="y"))


def test_how_a_program_ended_and_which_counts():
    assert len({of("boom", **change) for change in ({}, {"exit_status": 2}, {"program": "other.py"})}) == 3
    assert of("boom", exit_status=None, signal=11) != of("boom", exit_status=None, signal=6)


def test_the_message_tells_where_standard_error_does_not():
    """Of a program that was ended, what it wrote there is chatter."""
    message = "the map program `a` neither read nor wrote for 60 s"
    assert of("at record 1", reason="program_timeout", message=message) == of(
        "so far so good", reason="program_timeout", message=message
    )
    assert of(reason="storage_unavailable", message="503 of bucket 'a'") == of(
        reason="storage_unavailable", message="503 of bucket 'b'"
    )
    assert of("", message="ended with exit status 1") != of("", message="was killed")


def test_of_a_long_message_the_beginning_tells():
    """What a worker sends may be long, and the coordinator reads it while everything else waits."""
    beginning = "- " * (MAX_LINE_CHARACTERS // 2)
    assert of("", message=beginning + "a" * 10_000_000) == of("", message=beginning + "b")
    assert of("", message="a" + beginning) != of("", message="b" + beginning)


def test_a_traceback_tells_also_of_a_program_that_said_itself_that_it_fails():
    at_12, at_13 = (TRACEBACK.format(directory="/x", line=line, value="y") for line in (12, 13))
    gave_up = {"reason": "program_failed", "message": "the program gave up: ValueError"}
    assert of(at_12, **gave_up) != of(at_13, **gave_up)


@given(st.text(), st.text())
def test_any_text_has_a_fingerprint(stderr, message):
    assert re.fullmatch(rf"[0-9a-f]{{{FINGERPRINT_DIGITS}}}", of(stderr, message=message))


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_worn_down(integer, real):
    assert worn_down(f"read {integer} of {real}") == "read # of #"
