"""Run every random test with other bytes and many more of them than a usual run of the tests.

Each part says what broke and how to repeat it; exit status 1 when one did. What Go finds it keeps below
sdk/go/testdata/fuzz, hypothesis in .hypothesis: the next run begins with it.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from support.compilers import C_SANITIZERS, C_WARNINGS, CARGO, GO_OFFLINE, REPOSITORY, SDK, search_path
from support.vectors import FILE

TIMES = 50
LARGEST_SEED = 1000
GO_EXECUTIONS = 20_000  # of each target, times TIMES
GO_TARGETS = ("FuzzFrames", "FuzzConversation")
LONGEST_TEST_SECONDS = 3600
PARTS = ("python", "conversations", "c", "go", "rust")


class Step(NamedTuple):
    command: list[str]
    directory: Path = REPOSITORY
    environment: dict[str, str] = {}  # noqa: RUF012  # never changed


def main() -> int:
    arguments = _parsed()
    seed = {"APOLLO_FUZZ_TIMES": str(arguments.times), "APOLLO_FUZZ_SEED": str(arguments.seed)}
    broken = []
    with tempfile.TemporaryDirectory(prefix="apollo-fuzz-") as directory:
        for part in arguments.only or PARTS:
            sys.stderr.write(f"== {part}\n")
            if not all(_succeeds(step, seed) for step in _steps(part, Path(directory), arguments)):
                broken.append(part)
    for part in broken:
        again = f"./dev fuzz --only {part} --times {arguments.times} --seed {arguments.seed}"
        sys.stderr.write(f"{part} broke something. Again: {again}\n")
    return 1 if broken else 0


def _steps(part: str, directory: Path, arguments: argparse.Namespace) -> Iterator[Step]:
    pytest = [sys.executable, "-m", "pytest", "--numprocesses=2", f"--timeout={LONGEST_TEST_SECONDS}", "-q"]
    match part:
        case "python":
            packages = [str(path) for folder in ("libs", "services") for path in REPOSITORY.glob(f"{folder}/*/tests")]
            yield Step([*pytest, "-m", "hypothesis", f"--hypothesis-seed={arguments.seed}", *sorted(packages)])
        case "conversations":
            yield Step([*pytest, "tests/sdks/test_hostile_frames.py", "tests/sdks/test_conversations.py"])
        case "c":
            program = str(directory / "vectors")
            yield Step(["cc", *C_WARNINGS, *C_SANITIZERS, "-O1", "-o", program, str(SDK / "c/tests/vectors.c")])
            yield Step([program, str(FILE)])
        case "go":
            amount = f"-fuzztime={GO_EXECUTIONS * arguments.times}x"
            for target in GO_TARGETS:
                yield Step(["go", "test", "-run=^$", f"-fuzz=^{target}$", amount, "."], SDK / "go", GO_OFFLINE)
        case "rust":
            yield Step(["cargo", "test", "--offline", "any_"], SDK / "rust", CARGO)


def _succeeds(step: Step, seed: dict[str, str]) -> bool:
    environment = os.environ | {"PATH": search_path()} | step.environment | seed
    return subprocess.run(step.command, cwd=step.directory, env=environment, check=False).returncode == 0


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument(
        "--times", type=int, default=TIMES, help=f"how many times the examples of a usual run (default: {TIMES})"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1 + secrets.randbelow(LARGEST_SEED),
        help="what the bytes are made of (default: any)",
    )
    parser.add_argument("--only", action="append", choices=PARTS, help="one part only; may be repeated")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
