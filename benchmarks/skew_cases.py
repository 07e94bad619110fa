"""The cases of the benchmark `skew`: an input, a job on it, and what GNU's tools make of the same input."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import REPOSITORY
from benchmarks.report import MIB
from benchmarks.skew_data import LINE_BYTES, write_large_objects, write_lines, write_small_files, write_urls

IDENTITY = "identity"  # the built benchmarks/identity.c, in the folder of the case
_BUILTINS = "--mapper builtin:identity --reducer builtin:identity"
_SORT = 'sort -s --parallel=2 -S 1G -T "$FOLDER" --batch-size=500'
# Merged, and not sorted again, the parts have to be the sorted input: equal keys in the order of the input.
_SORTED_LINES = f"{_SORT} -t '\t' -k 1,1"
_MERGED_PARTS = f"find out -name 'part-*' | sort | tr '\\n' '\\0' | {_SORTED_LINES} -m --files0-from=-"
_KEYS_IN_TWO_PARTS = f'for part in out/part-*; do cut -f 1 "$part" | uniq; done | {_SORT} | uniq -d | head -n 1'


@dataclass(frozen=True, slots=True)
class Case:
    """`expected` and `found` are commands of bash in the folder of the case, where the input is `in`, and `out` has the
    parts. What they write has to be the same, byte by byte; what `surplus` writes has to be nothing.
    """

    name: str
    what: str
    budget_bytes: int
    write: Callable[[Path], None]  # the input, to this path
    options: str
    expected: str
    found: str = _MERGED_PARTS
    surplus: str = _KEYS_IN_TWO_PARTS


class WrongResult(Exception):
    """The job has succeeded, and its output is not what it should be."""


def all_cases(*, quick: bool) -> list[Case]:
    """At full size, or at one that takes seconds."""
    return [
        _hot_key(*((192 * MIB, 64 * MIB) if quick else (2048 * MIB, 256 * MIB))),
        _large_partition(*((160 * MIB, 64 * MIB) if quick else (4096 * MIB, 256 * MIB))),
        _small_inputs(500 if quick else 10_000, 150),
        _many_reducers(*((50, 64 * MIB, 8 * MIB) if quick else (1_000, 1024 * MIB, 256 * MIB))),
        _urls(*((50_000, 8 * MIB) if quick else (1_000_000, 256 * MIB))),
        _large_values(*((12, 25_000_000, 128 * MIB) if quick else (12, 200_000_000, 1024 * MIB))),
    ]


def check(case: Case, folder: Path) -> None:
    """WrongResult; CalledProcessError when a command fails."""
    expected, found = (_output(f"{command} | sha256sum", folder) for command in (case.expected, case.found))
    if found != expected:
        raise WrongResult(f"{case.name}: the output is not what the input is made into by: {case.expected}")
    if surplus := _output(case.surplus, folder):
        raise WrongResult(f"{case.name}: found in two parts: {surplus}")


def build_identity(folder: Path) -> None:
    sdk = REPOSITORY / "sdk/c"
    sources = [REPOSITORY / "benchmarks/identity.c", sdk / "apollo.c"]
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", f"-I{sdk}", "-o", folder / IDENTITY, *sources], check=True)


def _hot_key(size_bytes: int, budget_bytes: int) -> Case:
    return Case(
        "hot-key",
        f"{size_bytes // MIB:,} MiB, one key has half of all values",
        budget_bytes,
        lambda path: write_lines(path, size_bytes, hot_share=0.5),
        f"--mapper builtin:identity --reducer {IDENTITY} --reducers 4",
        f"{_SORTED_LINES} in",
    )


def _large_partition(size_bytes: int, budget_bytes: int) -> Case:
    return Case(
        "large-partition",
        f"one partition of {size_bytes // MIB:,} MiB",
        budget_bytes,
        lambda path: write_lines(path, size_bytes),
        f"{_BUILTINS} --reducers 1",
        f"{_SORTED_LINES} in",
        found="cat out/part-r-00000",
        surplus="find out -name 'part-*' -not -name part-r-00000",
    )


def _small_inputs(files: int, mean_lines: int) -> Case:
    def write(path: Path) -> None:
        path.mkdir()
        write_small_files(path, files, mean_lines)

    return Case(
        "small-inputs",
        f"{files:,} files of {mean_lines * LINE_BYTES // 1000} kB",
        64 * MIB,
        write,
        f"{_BUILTINS} --reducers 4",
        f"find in -type f | sort | xargs awk 1 | {_SORTED_LINES}",  # awk ends the last lines, too
    )


def _many_reducers(reducers: int, size_bytes: int, budget_bytes: int) -> Case:
    return Case(
        "many-reducers",
        f"{size_bytes // MIB:,} MiB in {reducers:,} partitions",
        budget_bytes,
        lambda path: write_lines(path, size_bytes),
        f"{_BUILTINS} --reducers {reducers}",
        f"{_SORTED_LINES} in",
    )


def _urls(count: int, budget_bytes: int) -> Case:
    return Case(
        "urls",
        f"{count:,} distinct URLs, many of one beginning",
        budget_bytes,
        lambda path: write_urls(path, count),
        f"{_BUILTINS} --reducers 2",
        f"{_SORT} in | sed 's/$/\\t/'",
    )


def _large_values(objects: int, size_bytes: int, budget_bytes: int) -> Case:
    def write(path: Path) -> None:
        path.mkdir()
        write_large_objects(path, objects, size_bytes)

    with_keys = 'for object in in/*; do echo "$(head -c 9 "$object") $object"; done'
    return Case(
        "large-values",
        f"{objects} values of {size_bytes // 1_000_000} MB",
        budget_bytes,
        write,
        f"--mapper {IDENTITY} --reducer {IDENTITY} --reducers 1 --output-format raw "
        f"--input-format whole --split-policy packed --split-size {budget_bytes}",
        f"{with_keys} | sort -s -k 1,1 | cut -d ' ' -f 2 | xargs cat",
        found="cat out/part-r-00000",
        surplus="find out -name 'part-*' -not -name part-r-00000",
    )


def _output(command: str, folder: Path) -> str:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "FOLDER": str(folder)}
    done = subprocess.run(
        ["/bin/bash", "-e", "-o", "pipefail", "-c", command],
        cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()
