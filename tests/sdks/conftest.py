"""What is built once for all tests of a session: the probe and the examples in every language, outside the tree."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.compilers import C_SANITIZERS, C_WARNINGS, CARGO, GO_OFFLINE, REPOSITORY, SDK, need, run

COMPILERS = {"c": "cc", "go": "go", "rust": "cargo"}


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("built")


@pytest.fixture(scope="session")
def probes(built) -> Callable[[str], Path]:
    """language -> a program that prints what it understands of a worker, and sends one frame of each kind."""

    def build(language: str) -> Path:
        target = built / f"probe-{language}"
        if not target.exists():
            BUILD_PROBE[language](target)
        return target

    return build


@pytest.fixture(scope="session")
def examples(built) -> Callable[[str], Path]:
    """language -> the folder of the examples' programs in that language."""

    def build(language: str) -> Path:
        need("make", COMPILERS[language])
        run("make", language, f"OUT={built}/examples", cwd=REPOSITORY / "examples", **CARGO, **GO_OFFLINE)
        return built / "examples" / language

    return build


def _probe_in_c(target: Path) -> None:
    need("cc")
    run("cc", *C_WARNINGS, *C_SANITIZERS, f"-I{SDK}/c", "-o", target, SDK / "c/tests/probe.c", SDK / "c/apollo.c")


def _probe_in_python(target: Path) -> None:
    source = Path(__file__).with_name("probe.py").read_text()
    target.write_text(source.replace("/usr/bin/env python3", sys.executable, 1))
    target.chmod(0o755)


def _probe_in_go(target: Path) -> None:
    need("go")
    run("go", "build", "-o", target, "./internal/probe", cwd=SDK / "go", **GO_OFFLINE)


def _probe_in_rust(target: Path) -> None:
    need("cargo")
    run("cargo", "build", "--quiet", "--offline", "--example", "probe", cwd=SDK / "rust", **CARGO)
    shutil.copy(f"{CARGO['CARGO_TARGET_DIR']}/debug/examples/probe", target)


BUILD_PROBE = {"c": _probe_in_c, "go": _probe_in_go, "rust": _probe_in_rust, "python": _probe_in_python}
