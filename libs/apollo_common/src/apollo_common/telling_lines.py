"""Which lines of a failed program's standard error say why it failed. Pure.

Of a traceback the line that names the error, and the innermost frame that is in no library: that of Python (also of
the interpreter's own crash), Go, Rust, and of the languages that write `at PLACE` under the error, as Java, .NET and
JavaScript do, or `from PLACE`, as Ruby. Of anything else the last line that is no noise, with what is indented below
it.
"""

import re
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

MAX_LINES: Final = 3
MAX_LINE_CHARACTERS: Final = 300

_CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;?]*[ -/]*[@-~]"
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Escape sequences of terminals, and characters that nobody reads."""

_PYTHON_FRAME = re.compile(r'([\s|+-]*)File "[^"]+", line \d+')
_PYTHON_LIBRARY = re.compile(
    r'[^"]*"(?:[^"]*/(?:(?:site|dist)-packages|lib(?:64)?/python\d[^"/]*|apollo_sdk)/|<frozen )'
)
_PYTHON_DECORATION = re.compile(r"[\s|+-]*")
_PYTHON_CRASH = "Fatal Python error: "
_GO_ERROR = re.compile(r"(?:panic|fatal error): ")
_GO_ROUTINE = re.compile(r"goroutine \d+ .*\[.*\]:$")
_GO_RUNTIME = re.compile(r"panic\(|runtime[./]")
_RUST_ERROR = re.compile(r"thread '.*'(?: \(\d+\))? panicked at ")
_LIBRARY_PLACE = re.compile(
    r"\s+at (?:(?:java|jdk)\.[\w.]+/|(?:java|javax|jdk|sun|scala|kotlin|System)\.|.*[( ]node:|.*/node_modules/)"
    r"|\s+from .*/(?:gems|lib/ruby)/"
)
_PLACE_BELOW = re.compile(r"\s+(?:at \S|from \S+:\d+)")
_MORE_BELOW = re.compile(r"\s+\.\.\. \d+ (?:more|common frames)")
_NOISE = re.compile(
    r"\W*$"  # carets and rulers
    r"|note: |Node\.js v|Execution halted|Calls: |Aborted\b|BUILD FAILED"
    r"|For more information|(?:Try|Run) .* for more information"
    r"|.{0,60}\b(?:TRACE|DEBUG|INFO|NOTICE)\b",
)


class Telling(NamedTuple):
    lines: tuple[str, ...]  # at most MAX_LINES of MAX_LINE_CHARACTERS, in the order in which they were written
    traceback: bool  # whether they come from one; else they are merely the last


def telling_lines(stderr: str) -> Telling:
    """The lines of `stderr`, the end of what a program wrote there, that say most; none when it wrote none."""
    lines = [_CONTROL.sub("", line).rstrip()[:MAX_LINE_CHARACTERS] for line in stderr.splitlines()]
    for read in (_go, _rust, _python, _placed_below):
        if found := read(lines):
            return Telling(tuple(line.strip() for line in found), traceback=True)
    return Telling(tuple(line.strip() for line in _last(lines)), traceback=False)


def _python(lines: Sequence[str]) -> list[str]:
    """A frame of the last traceback, and the error below it; of a crash the error above its frames."""
    crash = _last_index(lines, lambda line: line.startswith(_PYTHON_CRASH))
    if crash is not None:
        frames = [line for line in lines[crash:] if _PYTHON_FRAME.match(line)]
        return [lines[crash], *_own(frames, _PYTHON_LIBRARY)]
    at = _last_index(lines, lambda line: _PYTHON_FRAME.match(line) is not None)
    if at is None:
        return []
    depth = _depth(lines[at])
    below = (line for line in lines[at + 1 :] if line.strip(" |+-") and _depth(line) < depth)
    error = next(below, None)
    if error is None:
        return []
    within = takewhile(lambda line: _depth(line) >= depth, reversed(lines[: at + 1]))
    inner_first = [line for line in within if _PYTHON_FRAME.match(line) and _depth(line) == depth]
    (frame,) = _own(inner_first, _PYTHON_LIBRARY)
    return [line[_depth(line) :] for line in (frame, error)]


def _own(places: Sequence[str], library: re.Pattern[str]) -> list[str]:
    """The first that is in none, or else the first."""
    return [place for place in places if not library.match(place)][:1] or list(places[:1])


def _depth(line: str) -> int:
    """How far a line of a Python traceback is indented, in one of an exception group behind its ruler."""
    found = _PYTHON_DECORATION.match(line)
    return found.end() if found is not None else 0


def _go(lines: Sequence[str]) -> list[str]:
    error = _last_index(lines, lambda line: _GO_ERROR.match(line) is not None)
    if error is None:
        return []
    routine = next((at for at in range(error, len(lines)) if _GO_ROUTINE.match(lines[at])), None)
    if routine is None:
        return []
    for at in range(routine + 1, len(lines) - 1):
        call, place = lines[at : at + 2]
        if call and not call[0].isspace() and place.startswith("\t") and not _GO_RUNTIME.match(call):
            return [lines[error], place.partition(" +0x")[0]]
    return [lines[error]]


def _rust(lines: Sequence[str]) -> list[str]:
    """The place is in the first line; what it says comes below, or, until Rust 1.72, in the first line too."""
    at = _last_index(lines, lambda line: _RUST_ERROR.match(line) is not None)
    return list(lines[at : at + 2 if lines[at].endswith(":") else at + 1]) if at is not None else []


def _placed_below(lines: Sequence[str]) -> list[str]:
    """The last line with places indented below it, which is the cause of the others, and one of the places."""
    for at in range(len(lines) - 2, -1, -1):
        line, below = lines[at : at + 2]
        is_place = _PLACE_BELOW.match(line) or _MORE_BELOW.match(line)
        if line.strip() and not is_place and _PLACE_BELOW.match(below):
            places = takewhile(_PLACE_BELOW.match, lines[at + 1 :])
            return [line, *_own(list(places), _LIBRARY_PLACE)]
    return []


def _last(lines: Sequence[str]) -> list[str]:
    told = [line for line in lines if not _NOISE.match(line)] or [line for line in lines if line.strip()]
    if not told:
        return []
    begin = len(told) - 1
    while begin > 0 and told[begin][0].isspace() and len(told) - begin < MAX_LINES:
        begin -= 1
    return told[begin:]


def _last_index(lines: Sequence[str], is_it: Callable[[str], bool]) -> int | None:
    return next((at for at in range(len(lines) - 1, -1, -1) if is_it(lines[at])), None)
