"""Which failures are one and the same: a fingerprint that leaves out what differs from one record to the next. Pure.

Places in a traceback keep their line, since two places are two causes. Everything else is worn down: numbers, quoted
values, directories, times, and names that are made up anew for each attempt.
"""

import hashlib
import re
from typing import Final

from apollo_common.errors import ProgramExited
from apollo_common.telling_lines import MAX_LINE_CHARACTERS, telling_lines

FINGERPRINT_DIGITS: Final = 16  # of hex

_WORN_DOWN: Final = (
    (re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://\S+"), "<url>"),
    (re.compile(r"(?<!\w)[bru]{0,2}(?:'[^']*(?:'(?!\w)|$)|\"[^\"]*(?:\"|$)|`[^`]*(?:`|$))"), "<value>"),
    (re.compile(r"(?<![\w/@+-])~?(?:\.{1,2}|[\w@+-]+)?/(?:[^\s/:()]+/)*"), ""),  # a path's directories
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b[a-z0-9]{12}-[msr]-\d+(?:-\d+)?\b"), "<id>"),  # a task's or an attempt's
    (re.compile(r"\btmp[a-z0-9_]{8}\b"), "<id>"),
    (re.compile(r"(?<![\w.])[-+]?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?(?!\w)"), "#"),
    (re.compile(r"\b0[xX][0-9a-fA-F]+"), "#"),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b"), "#"),
    (re.compile(r"\b(?=[a-z0-9]*\d[a-z]+\d)[a-z0-9]{8,}\b"), "<id>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "#"),
    (re.compile(r"\s+"), " "),
)
_PYTHON_PLACE = re.compile(r'^File "(?:.*/)?([^"]+)", line (\d+)(.*)$')
_PLACE = re.compile(r"^(?:at |from |thread |/)(?:.*[/\s(])?([\w.$@-]+):(?:line )?(\d+)(?::\d+)?[:)]*(?::in .*)?$")


def fingerprint(
    *, reason: str, program: str, message: str, exit_status: int | None, signal: int | None, stderr: str
) -> str:
    """16 hexadecimal digits, equal for failures with the same cause.

    `reason` is a code of apollo_common.errors. What the program wrote to `stderr` counts if it has a traceback, or if
    the program ended by itself; otherwise it is chatter, and `message` says more.
    """
    told = telling_lines(stderr)
    says_why = told.traceback or reason == ProgramExited.reason
    lines = told.lines if says_why and told.lines else (message.partition("\n")[0][:MAX_LINE_CHARACTERS],)
    parts = [reason, program, str(exit_status), str(signal), *map(_essence, lines)]
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:FINGERPRINT_DIGITS]


def worn_down(text: str) -> str:
    """A sentence without what differs from one time to the next."""
    for pattern, replacement in _WORN_DOWN:
        text = pattern.sub(replacement, text)
    return text.strip()


def _essence(line: str) -> str:
    if found := _PYTHON_PLACE.match(line) or _PLACE.match(line):
        return ":".join(filter(None, found.groups()))
    return worn_down(line)
