"""How Hadoop Streaming cuts the command of `-mapper` and its like into words. It is no shell: nothing is expanded."""

import re

_WORD = re.compile(r"'([^']*)'?|\"([^\"]*)\"?|([^ '\"]+)")


def split_command(command: str) -> list[str]:
    r"""Words end at spaces and at quotes; `x'y z'w` is three of them, and a backslash is a character like any other.

    Source: what Hadoop Streaming 3.4.2 hands to a program (PipeMapRed.splitArgs).
    """
    words = [match[1] or match[2] or match[3] for match in _WORD.finditer(command)]
    return [word for word in words if word]
