"""What the parts of an output are called."""

import re

from apollo_coordinator.core.model import TaskKind
from apollo_coordinator.core.spec import JobSpec

_EXTENSIONS = {"": "", "gzip": ".gz", "bzip2": ".bz2", "zstd": ".zst"}
_PREFIXES = ("part-r-", "part-m-", "part-")
_NUMBER = re.compile(r"\d{5,}(\.gz|\.bz2|\.zst)?")


def part_name(spec: JobSpec, kind: TaskKind, index: int) -> str:
    """`part-r-00000`, `part-m-00012.gz`, or with the job's own prefix."""
    prefix = spec.part_prefix or ("part-m-" if kind is TaskKind.MAP else "part-r-")
    return f"{prefix}{index:05d}{_EXTENSIONS[spec.compression]}"


def is_part(name: str, prefix: str = "") -> bool:
    """Whether a file is called as a part of some job's output is. `prefix`: a job's own, beside the usual ones."""
    return any(
        name.startswith(beginning) and _NUMBER.fullmatch(name.removeprefix(beginning)) is not None
        for beginning in filter(None, (prefix, *_PREFIXES))
    )
