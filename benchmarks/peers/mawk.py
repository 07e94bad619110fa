"""mawk: the counts of all words in the memory of one process."""

import os

from benchmarks.contenders import Contender, first_line, program

FIELDS = r"[ \t\r\v\f]+"
COUNT = r"""{for (i = 1; i <= NF; i++) if ($i != "") n[$i]++} END {for (w in n) print w "\t" n[w]}"""


def words() -> Contender:
    mawk = program("mawk")
    return Contender(
        "mawk",
        first_line(mawk, "-W", "version").split(" ")[1],
        lambda source, target, _: [
            program("sh"), "-c", 'exec "$@" > "$0"', str(target), mawk, "-F", FIELDS, COUNT, str(source),
        ],
        os.environ | {"LC_ALL": "C"},
    )  # fmt: skip
