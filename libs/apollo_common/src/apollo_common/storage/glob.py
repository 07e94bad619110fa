"""Patterns of input locations, as a pure function of key and pattern.

`*`, `?` and `[...]` match within one path segment, `**` also across slashes (`a/**/b` matches `a/b` too). A trailing
slash means everything below. A segment with a wildcard never matches a hidden name (`.x`, `_x`); one that is written
out does. A `[` that is never closed stands for itself.
"""

import re
from functools import cached_property

from apollo_common.errors import InvalidLocation

MAX_CROSSING_WILDCARDS = 3  # `**`; each multiplies the worst case of a match by the length of the key

HIDDEN = (".", "_")
_NOT_HIDDEN = "(?![._])"
_ANY_IN_SEGMENT = "[^/]"
_ANY_BELOW = rf"(?:[^/]|/{_NOT_HIDDEN})*"
_CLASS = r"\[!?(?:\][^\]/]*|[^\]/]+)\]"
_TERM = re.compile(rf"\*{{2,}}|\*|\?|{_CLASS}|.", re.DOTALL)
_WILDCARD = re.compile(rf"[*?]|{_CLASS}")


def has_wildcard(pattern: str) -> bool:
    return _WILDCARD.search(pattern) is not None


def escape(text: str) -> str:
    """A pattern that matches `text` only."""
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", text)


class Pattern:
    """A compiled pattern over whole keys (or absolute paths)."""

    def __init__(self, pattern: str) -> None:
        """InvalidLocation for more than MAX_CROSSING_WILDCARDS of `**`."""
        whole = pattern + "**" if pattern.endswith("/") or not pattern else pattern
        self._segments = re.sub(r"(\*\*/)+", "**/", whole).split("/")
        if sum("**" in segment for segment in self._segments) > MAX_CROSSING_WILDCARDS:
            raise InvalidLocation(f"{pattern!r} holds more than {MAX_CROSSING_WILDCARDS} of '**': use fewer")
        wildcard = _WILDCARD.search(pattern)
        self.literal_prefix = pattern[: wildcard.start()] if wildcard else pattern
        """What every matching key starts with."""

    def matches(self, key: str) -> bool:
        return not key.endswith("/") and self._regex.fullmatch(key) is not None

    def may_match_below(self, directory: str) -> bool:
        """Whether a key below `directory` (no trailing slash) can match; spares a walk the rest of the tree."""
        depth = directory.count("/") + 1
        head, rest = self._segments[:depth], self._segments[depth:]
        for index, segment in enumerate(head):
            if "**" in segment:
                name = directory.rpartition("/")[2]
                return not name.startswith(HIDDEN) or any(s.startswith(HIDDEN) for s in self._segments[index:])
        return bool(rest) and re.fullmatch(_translate(head), directory) is not None

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile(_translate(self._segments))


def _translate(segments: list[str]) -> str:
    """The regular expression of a pattern's segments."""
    parts = []
    last = len(segments) - 1
    for index, segment in enumerate(segments):
        if segment == "**" and index < last:
            parts.append(rf"(?:{_NOT_HIDDEN}[^/]+/)*")  # any number of whole segments, none too
        else:
            parts.append(_translate_segment(segment) + ("/" if index < last else ""))
    return "".join(parts)


def _translate_segment(segment: str) -> str:
    """One segment. All but the last `*` are atomic, so that a match takes no exponential time."""
    terms = _TERM.findall(segment)
    out = [_NOT_HIDDEN] if any(map(_is_wildcard, terms)) else []
    crossing = "**" in segment
    between: list[str] = []  # what follows a `*`, up to the next one
    open_star = False
    for term in terms:
        if term == "*" and open_star and not crossing:
            out.append(rf"(?>[^/]*?{''.join(between)})")
            between = []
        elif term == "*" and not crossing:
            out += between
            between, open_star = [], True
        else:
            between.append(_translate_term(term))
    return "".join([*out, r"[^/]*" if open_star else "", *between])


def _is_wildcard(term: str) -> bool:
    return term[0] in "*?" or (term[0] == "[" and len(term) > 1)


def _translate_term(term: str) -> str:
    if term.startswith("**"):
        return _ANY_BELOW
    if term == "*":
        return "[^/]*"
    if term == "?":
        return _ANY_IN_SEGMENT
    if term[0] == "[" and len(term) > 1:
        return _translate_class(term[1:-1])
    return re.escape(term)


def _translate_class(inside: str) -> str:
    negated = inside.startswith("!") and inside != "!"
    items = []
    for first, last in re.findall(r"(.)(?:-(.))?", inside[negated:], re.DOTALL):
        if not last:
            items.append(re.escape(first))
        elif first <= last:
            items.append(f"{re.escape(first)}-{re.escape(last)}")
    if negated:
        return f"[^/{''.join(items)}]"
    return f"(?!/)[{''.join(items)}]" if items else "(?!)"  # an empty class matches nothing
