"""Who takes part in the word count, as commands from a text file to a file or folder of `word<TAB>count` lines."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from apollo_client.cli.demo import PROGRAM

REPOSITORY = Path(__file__).parents[1]
BENCH = REPOSITORY / ".bench"
EXAMPLE = REPOSITORY / "examples/word_count"
WORKERS = 2
SPLIT_SIZE = "16MiB"  # so that a small benchmark, too, has work for every worker

COUNT = r"""{for (i = 1; i <= NF; i++) if ($i != "") n[$i]++} END {for (w in n) print w "\t" n[w]}"""
FIELDS = r"[ \t\r\v\f]+"
AWK = f"shell:awk -F '{FIELDS}' '{COUNT}'"
SEPARATORS = r"' \t\r\v\f\n'"


class NotAvailable(Exception):
    """A contender cannot take part on this machine; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    command: Callable[[Path, Path], list[str]]  # of the input and of where the output goes
    environment: dict[str, str] | None = None


def contenders() -> dict[str, Callable[[], Contender]]:
    """Name -> how to get it ready, which may compile or install something. NotAvailable."""
    return {
        "coreutils": coreutils,
        "mawk": mawk,
        "apollo-c": lambda: _apollo_compiled("c", "cc"),
        "apollo-go": lambda: _apollo_compiled("go", "go"),
        "apollo-rust": lambda: _apollo_compiled("rust", "cargo"),
        "apollo-python": lambda: _apollo("apollo-python", EXAMPLE / "word_count.py"),
        "apollo-python-records": lambda: _apollo("apollo-python-records", PROGRAM, "--combiner", "builtin:sum"),
        "apollo-awk": lambda: _apollo("apollo-awk", AWK),
        "mrjob": mrjob,
    }


def coreutils() -> Contender:
    """The pipeline that everybody would write, with both processors and bytewise order."""
    script = (
        f"tr -s {SEPARATORS} '\\n' < \"$1\" | sed '/^$/d' | sort --parallel={WORKERS} | uniq -c"
        ' | awk \'{print $2 "\\t" $1}\' > "$2"'
    )
    return Contender(
        "coreutils",
        lambda source, target: ["/bin/bash", "-c", f"set -o pipefail; {script}", "count", str(source), str(target)],
        os.environ | {"LC_ALL": "C"},
    )


def mawk() -> Contender:
    """The counts of all words in the memory of one process."""
    program = shutil.which("mawk")
    if program is None:
        raise NotAvailable("there is no mawk")
    return Contender(
        "mawk",
        lambda source, target: [
            "/bin/sh",
            "-c",
            'exec "$@" > "$0"',
            str(target),
            program,
            "-F",
            FIELDS,
            COUNT,
            str(source),
        ],
        os.environ | {"LC_ALL": "C"},
    )


def _apollo_compiled(language: str, compiler: str) -> Contender:
    """The program of examples/ in that language, which sums in memory like the Python one."""
    if shutil.which(compiler) is None:
        raise NotAvailable(f"there is no {compiler}")
    command = ["make", "-C", REPOSITORY / "examples", language, f"OUT={BENCH / 'examples'}"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotAvailable(f"the example does not compile: {done.stderr.strip()[-200:]}")
    return _apollo(f"apollo-{language}", BENCH / "examples" / language / "word_count")


def mrjob() -> Contender:
    """mrjob with its runner of local processes, in an environment of its own."""
    venv = BENCH / "mrjob"
    lock = REPOSITORY / "benchmarks/mrjob/requirements.txt"
    stamp = venv / ".stamp"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        shutil.rmtree(venv, ignore_errors=True)
        uv = Path(sys.executable).with_name("uv")
        for step in (
            [uv, "venv", "--quiet", "--python", sys.executable, venv],
            [uv, "pip", "install", "--quiet", "--python", venv / "bin/python", "--require-hashes", "-r", lock],
        ):
            done = subprocess.run([*map(str, step)], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise NotAvailable(f"mrjob cannot be installed: {done.stderr.strip()[-200:]}")
        stamp.write_text(lock.read_text())
    program = [str(venv / "bin/python"), str(REPOSITORY / "benchmarks/mrjob/word_count.py")]
    options = ["-r", "local", "--no-cat-output", "--output-dir"]
    return Contender("mrjob", lambda source, target: [*program, *options, str(target), str(source)])


def _apollo(name: str, mapper: Path | str, *options: str) -> Contender:
    def command(source: Path, target: Path) -> list[str]:
        return [
            sys.executable, "-m", "apollo_client", "run", "--mapper", str(mapper), "--reducer", "builtin:sum",
            "--reducers", str(WORKERS), "--workers", str(WORKERS), "--split-size", SPLIT_SIZE, *options,
            "--input", str(source), "--output", str(target),
        ]  # fmt: skip

    return Contender(name, command)
