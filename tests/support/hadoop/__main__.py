"""`python -m support.hadoop record [CASE...]`: run the cases of tests/hadoop with the real Hadoop and keep its parts.

With `check` nothing is written: it says which cases Hadoop answers otherwise today than what is kept. `install` only
fetches Hadoop and mrjob. The working directory does not matter; `tests` must be importable.
"""

import gzip
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from hadoop.cases import CASES, Case
from hadoop.places import EXPECTED, copy_inputs
from support.hadoop.mrjob import ensure_mrjob
from support.hadoop.reference import ensure_hadoop, streaming


def main(verb: str, names: list[str]) -> int:
    if verb == "install":
        print(ensure_hadoop(), ensure_mrjob())
        return 0
    unknown = set(names) - {case.name for case in CASES}
    if verb not in ("record", "check") or unknown:
        print(__doc__, *sorted(unknown), file=sys.stderr)
        return 2
    status = 0
    for case in CASES:
        if names and case.name not in names:
            continue
        with tempfile.TemporaryDirectory() as name:
            made = _run(case, Path(name))
            kept = EXPECTED / case.name
            if verb == "record":
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(made, kept)
            elif _content(made) != _content(kept):
                status = 1
                print(f"{case.name}: Hadoop answers otherwise")
        print(case.name, flush=True)
    return status


def _run(case: Case, directory: Path) -> Path:
    copy_inputs(directory)
    done = streaming(shlex.split(case.arguments), directory)
    if done.returncode != 0:
        raise SystemExit(f"{case.name}: Hadoop ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    parts = directory / "parts"
    parts.mkdir()
    for part in sorted((directory / "out").glob("part-*")):
        content = gzip.decompress(part.read_bytes()) if case.compressed else part.read_bytes()
        (parts / part.name.removesuffix(".gz")).write_bytes(content)
    return parts


def _content(parts: Path) -> dict[str, bytes]:
    return {part.name: part.read_bytes() for part in parts.iterdir()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:]))
