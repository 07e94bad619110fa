"""Apollo itself, as `apollo run` does a job on one machine: with no server, its processes started by the command."""

import subprocess
import sys
from pathlib import Path

from apollo_client import __version__
from apollo_client.cli.demo import PROGRAM
from benchmarks.contenders import BENCH, PROGRAMS, REPOSITORY, WORKERS, Contender, NotAvailable, program
from benchmarks.peers.mawk import COUNT, FIELDS

EXAMPLE = REPOSITORY / "examples/word_count"
SPLIT_SIZE = "16MiB"  # so that a small benchmark, too, has work for every worker
SORT_REDUCERS = 4


def words_in_python() -> Contender:
    """Sums in memory before it emits."""
    return _words("apollo-python", EXAMPLE / "word_count.py")


def words_in_python_records() -> Contender:
    """Emits every word; the combiner is built in."""
    return _words("apollo-python-records", PROGRAM, "--combiner", "builtin:sum")


def words_in_awk() -> Contender:
    return _words("apollo-awk", f"shell:awk -F '{FIELDS}' '{COUNT}'")


def words_compiled(language: str) -> Contender:
    """The program of examples/ in c, go or rust, which sums in memory like the Python one."""
    program({"c": "cc", "go": "go", "rust": "cargo"}[language])
    _build("make", "-C", REPOSITORY / "examples", language, f"OUT={BENCH / 'examples'}")
    return _words(f"apollo-{language}", BENCH / "examples" / language / "word_count")


def sort() -> Contender:
    """Every row goes to a program and comes back, in the maps and in the reduces; the parts follow one another."""
    rows, sdk = BENCH / "sort_rows", REPOSITORY / "sdk/c"
    BENCH.mkdir(exist_ok=True)
    sources = (PROGRAMS / "sort_rows.c", sdk / "apollo.c")
    _build(program("cc"), "-O2", "-D_GNU_SOURCE", f"-I{sdk}", "-o", rows, *sources)
    options = ("--reducers", str(SORT_REDUCERS), "--partitioner", "range")
    return _run("apollo", rows, rows, *options)


def _words(name: str, mapper: Path | str, *options: str) -> Contender:
    return _run(name, mapper, "builtin:sum", "--reducers", str(WORKERS), "--split-size", SPLIT_SIZE, *options)


def _run(name: str, mapper: Path | str, reducer: Path | str, *options: str) -> Contender:
    def command(source: Path, target: Path, _: Path) -> list[str]:
        return [
            sys.executable, "-m", "apollo_client", "run", "--mapper", str(mapper), "--reducer", str(reducer),
            "--workers", str(WORKERS), *options, "--input", str(source), "--output", str(target),
        ]  # fmt: skip

    return Contender(name, __version__, command)


def _build(*command: Path | str) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotAvailable(f"the program does not compile: {done.stderr.strip()[-200:]}")
