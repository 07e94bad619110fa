"""GNU coreutils: pipelines as everybody would write them, with both processors and bytewise order."""

import os

from benchmarks.contenders import WORKERS, Contender, first_line, program

SEPARATORS = r"' \t\r\v\f\n'"
WORDS = (
    f"tr -s {SEPARATORS} '\\n' < \"$1\" | sed '/^$/d' | sort -S 2G --parallel={WORKERS} | uniq -c"
    ' | awk \'{print $2 "\\t" $1}\' > "$2"'
)
SORT = f'sort -S 2G --parallel={WORKERS} -o "$2" "$1"'


def words() -> Contender:
    return _pipeline("coreutils", WORDS)


def sort() -> Contender:
    return _pipeline("gnu-sort", SORT)


def _pipeline(name: str, script: str) -> Contender:
    bash = [program("bash"), "-c", f"set -o pipefail; {script}", name]
    return Contender(
        name,
        first_line(program("sort"), "--version").rpartition(" ")[2],
        lambda source, target, _: [*bash, str(source), str(target)],
        os.environ | {"LC_ALL": "C"},
    )
