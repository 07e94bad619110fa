"""The compilers that the SDKs are tried with. On a developer's machine one may be missing."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SDK = REPOSITORY / "sdk"
GO_OFFLINE = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
CARGO = {"CARGO_TARGET_DIR": str(REPOSITORY / "build/cargo")}  # kept, and locked by cargo
C_WARNINGS = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
C_SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


def need(*tools: str) -> None:
    """Skip the test when one of the commands is not there."""
    missing = [tool for tool in tools if shutil.which(tool) is None or (tool == "cargo" and _working_cargo() is None)]
    if missing:
        pytest.skip(f"not installed, though .ci/run installs it: {', '.join(missing)}")


@cache
def _working_cargo() -> Path | None:
    """The folder of the first `cargo` on PATH that has a Rust: rustup's may lie before another's and have none."""
    for folder in map(Path, os.get_exec_path()):
        found = shutil.which("cargo", path=folder)
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
            return folder
    return None


def search_path() -> str:
    """PATH, with the working `cargo` before one that has no Rust."""
    cargo = _working_cargo()
    if cargo is None or shutil.which("cargo") == str(cargo / "cargo"):
        return os.environ["PATH"]
    return f"{cargo}{os.pathsep}{os.environ['PATH']}"


def run(*command: object, cwd: Path | None = None, **extra: str) -> str:
    """What the command prints; an AssertionError with all that it says when it fails."""
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=os.environ | {"PATH": search_path()} | extra,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout
