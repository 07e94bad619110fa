"""Patterns against expectations that were written by hand."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apollo_common.errors import InvalidLocation
from apollo_common.storage.glob import Pattern, escape, has_wildcard


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        (
            "a/*.txt",
            ["a/x.txt", "a/x.y.txt"],
            ["a/x.log", "a/b/x.txt", "a/.x.txt", "a/_x.txt", "b/x.txt", "a/x.txt.gz"],
        ),
        ("a/?", ["a/x", "a/é", "a/\n"], ["a/", "a/xy", "a/.", "a/_", "a//"]),
        ("a/x?", ["a/xy", "a/x.", "a/x_"], ["a/x", "a/x/"]),
        ("[ab]/x", ["a/x", "b/x"], ["c/x", "ab/x"]),
        ("[!ab]x", ["cx", "-x"], ["ax", "_x", ".x", "/x"]),
        ("[a-c]x", ["ax", "bx"], ["dx", "-x"]),
        ("[z-a]x", [], ["ax", "zx", "x"]),
        ("x[]]", ["x]"], ["x[", "x"]),
        ("x[-]", ["x-"], ["x"]),
        ("x[^\\]", ["x^", "x\\"], ["xa"]),
        ("x[.-0]y", ["x.y", "x0y"], ["x/y"]),
        ("a[b", ["a[b"], ["ab"]),
        ("a[]", ["a[]"], ["a"]),
        ("a/**", ["a/x", "a/b/c/x"], ["a", "b/x", "a/.b/x", "a/b/_c", "a/b/.x"]),
        ("a/", ["a/x", "a/b/c/x"], ["a", "a/", "ab/x", "a/_temporary/x"]),
        ("a/**/x", ["a/x", "a/b/x", "a/b/c/x"], ["a/bx", "a/.b/x", "b/x"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["a/xx", ".a/x"]),
        ("a/**.txt", ["a/x.txt", "a/b/x.txt"], ["a/x.log", "a/.b/x.txt"]),
        ("a**b*c", ["abc", "a/bxc", "a/bx/abxc"], ["a/b/c", "a/.b/bc"]),
        ("a/b*/", ["a/b/x", "a/bc/d/x"], ["a/b", "a/c/x", "a/b/.x"]),
        ("_a/*", ["_a/x"], ["_b/x", "_a/_x"]),
        ("_*/x", [], ["_a/x"]),
        ("*/_SUCCESS", ["a/_SUCCESS"], ["_a/_SUCCESS"]),
        ("", ["x", "a/x"], [".x", "a/_b/x"]),
        ("*a*b*c*", ["abc", "xaxbxcx", "aabbcc"], ["acb", "ab/c"]),
        ("a+(b).{c}|^$", ["a+(b).{c}|^$"], ["aab.c"]),
    ],
)
def test_patterns(pattern, matching, others):
    compiled = Pattern(pattern)
    assert [key for key in matching if not compiled.matches(key)] == []
    assert [key for key in others if compiled.matches(key)] == []


def test_what_a_key_must_start_with():
    assert Pattern("s/a/b*/c").literal_prefix == "s/a/b"
    assert Pattern("s/a/").literal_prefix == "s/a/"
    assert Pattern("s/[ab]").literal_prefix == "s/"
    assert Pattern("s/a[b").literal_prefix == "s/a[b"


@pytest.mark.parametrize(
    ("pattern", "below", "not_below"),
    [
        ("/a/*.txt", ["/a"], ["/a/b", "/b"]),
        ("/a/*/x", ["/a", "/a/b"], ["/a/b/c", "/a/.b", "/c"]),
        ("/a/", ["/a", "/a/b", "/a/b/c"], ["/b", "/a/.git", "/a/b/_x"]),
        ("/a/**/x", ["/a/b", "/a/b/c"], ["/a/.b"]),
        ("/a/**/.b/x", ["/a/.b", "/a/c/.b"], []),
    ],
)
def test_directories_that_are_worth_a_look(pattern, below, not_below):
    compiled = Pattern(pattern)
    assert [path for path in below if not compiled.may_match_below(path)] == []
    assert [path for path in not_below if compiled.may_match_below(path)] == []


@given(st.text(alphabet="ab*?[]!-/\\^", max_size=12))
def test_an_escaped_text_matches_itself_only(text):
    assert not has_wildcard(text) or Pattern(text).literal_prefix != text
    if text and not text.endswith("/") and "**" not in text:
        assert Pattern(escape(text)).matches(text) == (
            not any(part[:1] in "._" and "*" in part for part in text.split("/"))
        )
        assert not Pattern(escape(text)).matches(text + "a")


def test_no_more_than_three_wildcards_that_cross():
    Pattern("**/a/**/b/**")
    Pattern("**/**/**/**/**/a")
    with pytest.raises(InvalidLocation, match=r"\*\*"):
        Pattern("**/a/**/b/**/c/**")


def test_a_hostile_pattern_ends():
    started = time.process_time()
    assert not Pattern("*a" * 50 + "b").matches("a" * 1024)
    assert time.process_time() - started < 10
