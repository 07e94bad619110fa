"""Runs the `apollo` command as a user would: as a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
SOURCES = [str(path) for folder in ("libs", "services") for path in sorted((REPOSITORY / folder).glob("*/src"))]
DEFAULT_TIMEOUT_SECONDS = 120


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, with the repository's own packages importable and nothing of Apollo's set."""
    # Without byte code every process would compile the sources anew.
    dropped = ("APOLLO_", "AWS_", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    env["PYTHONPATH"] = os.pathsep.join(SOURCES)
    return env | extra


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "apollo_client", *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    stdout: str
    stderr: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The documents that `--json` printed, one a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    @property
    def job(self) -> dict[str, Any]:
        return self.documents[-1]


def apollo(
    *arguments: object, cwd: Path | None = None, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS, **env: str
) -> Outcome:
    done = subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_seconds,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
