"""The compilers that the SDKs are tried with. On a developer's machine one may be missing; in CI none may."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SDK = REPOSITORY / "sdk"
GO_OFFLINE = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
CARGO = {"CARGO_TARGET_DIR": str(REPOSITORY / "build/cargo")}  # kept, and locked by cargo
C_WARNINGS = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
C_SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


def need(*tools: str) -> None:
    """Skip the test, or fail it in CI, when one of the commands is not there."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"missing in CI, where .ci/run installs it: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def run(*command: object, cwd: Path | None = None, **extra: str) -> str:
    """What the command prints; an AssertionError with all that it says when it fails."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=os.environ | extra, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
    return done.stdout
