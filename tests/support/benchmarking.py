"""Runs benchmarks as `./dev bench` does, each in a process of its own."""

import os
import subprocess
import sys

from support.apollo_cli import REPOSITORY, SOURCES, environment


def python(*arguments: object) -> str:
    """What Python writes with these arguments, in the repository; AssertionError with its errors when it fails."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=REPOSITORY,
        env=environment(PYTHONPATH=os.pathsep.join([*SOURCES, str(REPOSITORY / "tests")])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def quick(name: str, *options: object) -> str:
    """What `./dev bench NAME --quick` writes."""
    return python("-m", "benchmarks", name, "--quick", *options)
