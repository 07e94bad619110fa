"""What the parts of an output are called."""

import re

from apollo_coordinator.core.model import TaskKind

_EXTENSIONS = {"": "", "gzip": ".gz", "bzip2": ".bz2", "zstd": ".zst"}
_PART = re.compile(r"part-[mr]-\d{5,}(\.gz|\.bz2|\.zst)?")


def part_name(kind: TaskKind, index: int, compression: str = "") -> str:
    """`part-r-00000`, `part-m-00012.gz`."""
    return f"part-{'m' if kind is TaskKind.MAP else 'r'}-{index:05d}{_EXTENSIONS[compression]}"


def is_part(name: str) -> bool:
    """Whether a file is called as a part of some job's output is."""
    return _PART.fullmatch(name) is not None
