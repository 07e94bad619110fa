"""Calls of other programs, whose failures say what the program said."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def output_of(command: Sequence[str | Path], *, stdin: str = "", environment: Mapping[str, str] | None = None) -> str:
    """What it prints; CalledProcessError, with what it wrote to standard error as a note, after a failure."""
    done = subprocess.run(command, input=stdin, env=environment, check=False, capture_output=True, text=True)
    try:
        done.check_returncode()
    except subprocess.CalledProcessError as error:
        error.add_note(done.stderr)
        raise
    return done.stdout
