"""Runs `apollo hadoop` as a script would."""

import shlex
import subprocess
import sys
from pathlib import Path

from support.apollo_cli import Outcome, environment

TIMEOUT_SECONDS = 120


def hadoop(*arguments: str, cwd: Path, **env: str) -> Outcome:
    """`apollo hadoop`, as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "apollo_client", "hadoop", *arguments],
        cwd=cwd,
        env=environment(HOME=str(cwd), **env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def streaming(arguments: str, cwd: Path, **env: str) -> Outcome:
    return hadoop("jar", "/opt/hadoop/hadoop-streaming-3.4.2.jar", *shlex.split(arguments), cwd=cwd, **env)
