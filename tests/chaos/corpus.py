"""The input of all jobs, and what coreutils and awk make of it."""

import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

WORDS = 400
WORDS_A_LINE = 10
LINES = (4_000, 2_500, 1_500)
"""Of each file; some 75 bytes a line."""

FAILING_LINE = f"L{sum(LINES) - 700:08d}"
"""Its label: the mapper of the job that must fail gives up there."""

_WORD_COUNT = (
    r"""awk '{ for (i = 2; i <= NF; i++) print $i }' "$@" | sort | uniq -c | awk '{ print $2 "\t" $1 }' | sort"""
)
_INDEX = r"""awk '{ for (i = 2; i <= NF; i++) lines[$i] = lines[$i] (lines[$i] == "" ? "" : ",") $1 }
END { for (word in lines) print word "\t" lines[word] }' "$@" | sort -t "$(printf '\t')" -k 1,1"""
_LONG_LINES = r"""awk 'length($2) > 6 { print $1 "\t" $2 }' "$@" """
# Java's hash of the key's bytes, as docs/partitioners.md defines the partitioner `hadoop`; the words are ASCII.
_PARTITION = r"""BEGIN { FS = "\t"; for (i = 1; i < 128; i++) code[sprintf("%c", i)] = i }
{ hash = 1; for (i = 1; i <= length($1); i++) hash = (31 * hash + code[substr($1, i, 1)]) % 4294967296
  if (hash % 2147483648 % parts == part) print }"""


def write_corpus(directory: Path, seed: str) -> list[Path]:
    """Files of labelled lines of words: `L00000042 some words ...`. The same for the same seed."""
    draw = random.Random(f"{seed}/corpus")
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = sorted({"".join(draw.choices(letters, k=draw.randint(2, 11))) for _ in range(WORDS)})
    directory.mkdir(parents=True)
    paths, label = [], 0
    for number, lines in enumerate(LINES):
        path = directory / f"{'abc'[number]}.txt"
        with path.open("w") as out:
            for _ in range(lines):
                out.write(f"L{label:08d} {' '.join(draw.choices(words, k=WORDS_A_LINE))}\n")
                label += 1
        paths.append(path)
    return paths


def word_count(corpus: Sequence[Path]) -> bytes:
    return _shell(_WORD_COUNT, corpus)


def downwards(lines: bytes) -> bytes:
    """The last line first."""
    return subprocess.run(["tac"], input=lines, capture_output=True, check=True).stdout


def index(corpus: Sequence[Path]) -> bytes:
    return _shell(_INDEX, corpus)


def long_lines(corpus: Sequence[Path]) -> bytes:
    return _shell(_LONG_LINES, corpus)


def partitioned(lines: bytes, parts: int) -> tuple[bytes, ...]:
    """The lines of each reduce partition, in their order."""
    return tuple(
        subprocess.run(
            ["awk", "-v", f"parts={parts}", "-v", f"part={part}", _PARTITION],
            input=lines,
            capture_output=True,
            check=True,
        ).stdout
        for part in range(parts)
    )


def _shell(script: str, corpus: Sequence[Path]) -> bytes:
    command = ["/bin/sh", "-c", script, "oracle", *map(str, corpus)]
    return subprocess.run(command, capture_output=True, check=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout
