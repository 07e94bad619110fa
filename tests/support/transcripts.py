"""Recorded terminals: commands, and what they print. A page shows them; a test runs them and compares.

    $ apollo job 1
    job       1 ...
    (exit status 1)

`$ ` begins a command, `> ` continues it. What follows is its standard output and error together, up to the next
command. `...` stands for anything within a line, a line of only `...` for any number of lines. `(exit status N)` is the
last line of a command that does not end with 0.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

ANYTHING = "..."
_STATUS = re.compile(r"\(exit status (\d+)\)")
_PROMPT, _MORE = "$ ", "> "


@dataclass(frozen=True)
class Recorded:
    """One command of a transcript."""

    command: str
    printed: tuple[str, ...]  # lines, with their `...`
    status: int = 0

    def difference(self, said: str, status: int) -> str | None:
        """What is not as recorded, for people; None when all is."""
        if status != self.status:
            return f"$ {self.command}\nended with {status}, not {self.status}:\n{said}"
        lines = [line.rstrip() for line in said.splitlines()]
        if re.fullmatch(_pattern(self.printed), "".join(f"{line}\n" for line in lines)):
            return None
        return f"$ {self.command}\nis recorded as\n" + "\n".join(self.printed) + f"\nbut prints\n{said}"


def transcript(text: str) -> list[Recorded]:
    """ValueError when it does not begin with a command."""
    return list(_recorded(text.splitlines()))


def _recorded(lines: list[str]) -> Iterator[Recorded]:
    if not lines or not lines[0].startswith(_PROMPT):
        raise ValueError(f"a recorded terminal begins with a command after `{_PROMPT}`: {lines[:1]}")
    starts = [index for index, line in enumerate(lines) if line.startswith(_PROMPT)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield _one(lines[start:end])


def _one(lines: list[str]) -> Recorded:
    command, printed = [lines[0].removeprefix(_PROMPT)], lines[1:]
    while printed and printed[0].startswith(_MORE) and command[-1].endswith("\\"):
        command.append(printed.pop(0).removeprefix(_MORE))
    ended = _STATUS.fullmatch(printed[-1]) if printed else None
    if ended is not None:
        printed.pop()
    return Recorded("\n".join(command), tuple(line.rstrip() for line in printed), int(ended[1]) if ended else 0)


def _pattern(printed: tuple[str, ...]) -> str:
    return "".join(
        r"(?:.*\n)*" if line == ANYTHING else ".*".join(map(re.escape, line.split(ANYTHING))) + r"\n"
        for line in printed
    )
