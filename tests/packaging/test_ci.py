"""What runs in CI knows that it does, and leaves out nothing there."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SKIPS = """
import pytest

def test_where_nobody_may_mount():
    pytest.skip("no right to mount")

@pytest.mark.skipif(True, reason="no compiler")
def test_without_a_compiler():
    pass

@pytest.mark.skipif(True, reason="another architecture's, also in CI")
def test_of_another_architecture():
    pass
"""


def test_every_environment_of_tox_passes_ci_on():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(REPOSITORY / "tox.ini")
    assert "CI" in tox["testenv"]["pass_env"].split()
    assert not [name for name in tox.sections() if name != "testenv" and "pass_env" in tox[name]]


def test_ci_says_that_it_is_ci(tmp_path):
    """To every verb, with all that it might install there already."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").symlink_to(REPOSITORY / ".ci/run")
    for name in ("bin/go", "bin/cargo", "bin/cc", "bin/make", "bin/chromium", "bin/chromedriver", "bin/apt-get", "dev"):
        command = tmp_path / name
        command.parent.mkdir(exist_ok=True)
        command.write_text('#!/bin/sh\necho "$1 $CI"\n')
        command.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name != "CI"}
    env |= {"PATH": f"{tmp_path / 'bin'}:{env['PATH']}"}
    done = subprocess.run([tmp_path / ".ci/run"], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["check true", "test true", "e2e true", "e2e true"]


@pytest.mark.parametrize(("ci", "expected"), [("true", "1 failed, 1 skipped, 1 error"), ("", "3 skipped")])
def test_a_skip_fails_in_ci(tmp_path, ci, expected):
    module = tmp_path / "test_skips.py"
    module.write_text(SKIPS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--quiet",
        "-c",
        os.devnull,
        "--rootdir",
        tmp_path,
        "-p",
        "support.skips",
    ]
    env = os.environ | {"CI": ci, "PYTHONPATH": str(REPOSITORY / "tests")}
    done = subprocess.run([*command, module], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1].startswith(f"{expected} in "), done.stdout
    assert done.returncode == bool(ci)
