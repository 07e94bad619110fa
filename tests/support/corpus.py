"""Real text to count words in, and what coreutils makes of it."""

import subprocess
import sysconfig
from pathlib import Path

WORD_COUNT = r"""LC_ALL=C; export LC_ALL
cat "$@" | tr -s ' \t\r\v\f\n' '\n' | grep -v '^$' | sort | uniq -c | awk '{print $2 "\t" $1}' | sort
"""


def write_python_sources(path: Path, size_bytes: int) -> Path:
    """Python's own standard library as one file of exactly `size_bytes`, repeated as often as needed."""
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    text = b"".join(source.read_bytes() for source in sources)
    with path.open("wb") as out:
        left = size_bytes
        while left > 0:
            out.write(text[:left])
            left -= len(text)
    return path


def coreutils_word_count(*paths: Path) -> bytes:
    """`word<TAB>count` lines in byte order, by tr, sort, uniq and awk."""
    done = subprocess.run(["/bin/sh", "-c", WORD_COUNT, "count", *map(str, paths)], capture_output=True, check=True)
    return done.stdout


def sorted_lines(content: bytes) -> bytes:
    return b"".join(sorted(content.splitlines(keepends=True)))


def parts(output: Path) -> list[Path]:
    return sorted(output.glob("part-*"))


def read_parts(output: Path) -> bytes:
    return b"".join(part.read_bytes() for part in parts(output))
