"""Tells the reporter lines on a program's standard error from its log (Hadoop Streaming's convention).

`reporter:counter:GROUP,NAME,N` and `reporter:status:MESSAGE`; everything else is log, passed on as it comes.
"""

import re
from dataclasses import dataclass

LINE_LIMIT_BYTES = 4096  # a longer line is no reporter line
TAIL_BYTES = 4096
_PREFIX = b"reporter:"
_COUNTER = re.compile(rb"reporter:counter:([^,]{1,255}),([^,]{1,255}),\s*(-?\d{1,18})\s*")
_STATUS = re.compile(rb"reporter:status:(.*)")


@dataclass(frozen=True, slots=True)
class CounterLine:
    group: str
    name: str
    increment: int


@dataclass(frozen=True, slots=True)
class StatusLine:
    message: str


class StderrFilter:
    """Fed with pieces as they are read. Holds back at most one line, and only one that may yet be a reporter's."""

    def __init__(self) -> None:
        self._held = b""
        self._inside_line = False  # of the log: what follows is no line start
        self.tail = b""

    def feed(self, piece: bytes) -> list[bytes | CounterLine | StatusLine]:
        """What the piece completes, in order; the log in pieces of any size."""
        content = self._held + piece
        self._held = b""
        rest_at = content.rfind(b"\n") + 1
        whole, rest = content[:rest_at], content[rest_at:]
        heard = self._lines(whole)
        if whole:
            self._inside_line = False
        if rest and not self._inside_line and _may_become_report(rest):
            self._held = rest
        elif rest:
            heard.append(self._log(rest))
            self._inside_line = True
        return heard

    def close(self) -> list[bytes | CounterLine | StatusLine]:
        """What was held back, at the end of the stream."""
        held, self._held = self._held, b""
        report = _parse(held)
        return [report] if report else [self._log(held)] if held else []

    def _lines(self, whole: bytes) -> list[bytes | CounterLine | StatusLine]:
        if _PREFIX not in whole:
            return [self._log(whole)] if whole else []
        heard: list[bytes | CounterLine | StatusLine] = []
        log = bytearray()
        for index, line in enumerate(whole.split(b"\n")[:-1]):
            report = None if index == 0 and self._inside_line else _parse(line)
            if report is None:
                log += line + b"\n"
                continue
            if log:
                heard.append(self._log(bytes(log)))
                log.clear()
            heard.append(report)
        if log:
            heard.append(self._log(bytes(log)))
        return heard

    def _log(self, content: bytes) -> bytes:
        self.tail = (self.tail + content)[-TAIL_BYTES:]
        return content


def _may_become_report(rest: bytes) -> bool:
    return (rest.startswith(_PREFIX) and len(rest) < LINE_LIMIT_BYTES) or _PREFIX.startswith(rest)


def _parse(line: bytes) -> CounterLine | StatusLine | None:
    if len(line) > LINE_LIMIT_BYTES:
        return None
    if match := _COUNTER.fullmatch(line):
        group, name, increment = match.groups()
        return CounterLine(_text(group), _text(name), int(increment))
    if match := _STATUS.fullmatch(line):
        return StatusLine(_text(match[1]))
    return None


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace").strip()
