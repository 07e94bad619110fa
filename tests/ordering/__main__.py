"""`python -m ordering record | check`: see `cases`. `tests` must be importable."""

import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from ordering.cases import CASES, EXPECTED, INPUT, Case
from support.hadoop.reference import streaming


def main(verb: str) -> int:
    if verb not in ("record", "check"):
        print(__doc__, file=sys.stderr)
        return 2
    status = 0
    for case in CASES:
        with tempfile.TemporaryDirectory() as name:
            parts = _run(case, Path(name))
        kept = EXPECTED / case.name
        if verb == "record":
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir(parents=True)
            for part, content in parts.items():
                (kept / part).write_bytes(content)
        elif {path.name: path.read_bytes() for path in kept.iterdir()} != parts:
            status = 1
            print(f"{case}: Hadoop answers otherwise")
        print(case, flush=True)
    return status


def _run(case: Case, directory: Path) -> dict[str, bytes]:
    done = streaming([*shlex.split(case.hadoop), "-input", str(INPUT / case.input), "-output", "out"], directory)
    if done.returncode != 0:
        raise SystemExit(f"{case}: Hadoop ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return {part.name: part.read_bytes() for part in sorted((directory / "out").glob("part-*"))}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
