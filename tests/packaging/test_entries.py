"""`./apollo` on a machine that has git and a Python, and on machines that lack something."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MADE = "Making .venv"


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A fresh clone's files: what is tracked and what is about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=REPOSITORY, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    checkout = tmp_path / "a checkout"
    for name in filter(None, listed.stdout.split("\0")):
        target = checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (REPOSITORY / name).is_file():
            shutil.copy2(REPOSITORY / name, target)
    return checkout


def start(checkout: Path, *arguments: str, start_new_session: bool = False, **env: str) -> subprocess.Popen:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("APOLLO_", "PYTHON", "VIRTUAL"))}
    return subprocess.Popen(
        [checkout / "apollo", *arguments], cwd="/", env=kept | env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=start_new_session,
    )  # fmt: skip


def apollo(checkout: Path, *arguments: str, **env: str) -> tuple[int, str, str]:
    process = start(checkout, *arguments, **env)
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


@pytest.mark.timeout(300)
def test_the_first_call_sets_up_and_later_ones_do_not(checkout):
    # A link to the command works too, and two first calls at once do not disturb each other.
    link = checkout.parent / "link"
    link.symlink_to(checkout / "apollo")
    both = [start(checkout, "version", APOLLO_PYTHON=sys.executable) for _ in range(2)]
    outputs = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum(err.count(MADE) for _, err in outputs) == 1
    assert all(out.startswith("apollo ") for out, _ in outputs)

    status, _, err = apollo(checkout, "version")
    assert (status, err) == (0, "")
    done = subprocess.run([link, "version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

    lock = checkout / "requirements/runtime.txt"
    lock.touch()
    assert MADE not in apollo(checkout, "version")[2]
    lock.write_text(lock.read_text() + "# changed\n")
    assert MADE in apollo(checkout, "version", APOLLO_PYTHON=sys.executable)[2]


@pytest.fixture
def bare_path(tmp_path) -> Path:
    """A PATH with the tools that every Debian has, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "flock", "cat", "cut", "sha256sum", "rm", "mv", "readlink"):
        (folder / tool).symlink_to(shutil.which(tool))
    return folder


def add_python(folder: Path, script: str) -> None:
    python = folder / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)


def test_without_python_it_says_what_to_install(checkout, bare_path):
    status, _, err = apollo(checkout, "version", PATH=str(bare_path))
    assert status == 1
    assert "apt-get install python3 python3-venv" in err


def test_an_old_python_is_none(checkout, bare_path):
    add_python(bare_path, "exit 1")
    status, _, err = apollo(checkout, "version", PATH=str(bare_path))
    assert status == 1
    assert "3.11" in err


def test_without_venv_it_names_the_package(checkout, bare_path):
    add_python(bare_path, f'case "$*" in *ensurepip*) exit 1 ;; *) exec {sys.executable} "$@" ;; esac')
    status, _, err = apollo(checkout, "version", PATH=str(bare_path))
    assert status == 1
    assert f"python3.{sys.version_info.minor}-venv" in err


def test_a_wrong_apollo_python_is_named(checkout):
    status, _, err = apollo(checkout, "version", APOLLO_PYTHON="/nowhere/python")
    assert status == 1
    assert "APOLLO_PYTHON=/nowhere/python" in err


def test_an_interrupted_first_call_says_what_comes_next(checkout, bare_path):
    """The terminal sends SIGINT to every process in its foreground, so to the Python that makes the environment."""
    hanging = f"{sys.executable} -c 'print(\"begun\", flush=True); import time; time.sleep(60)' >begun"
    add_python(bare_path, f'case "$*" in *"-m venv"*) {hanging} ;; *) exec {sys.executable} "$@" ;; esac')
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it: so would Python
    process = start(checkout, "version", PATH=str(bare_path), start_new_session=True)
    begun = checkout / "begun"
    while not (begun.exists() and begun.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=50)
    assert err.splitlines()[1:] == ["apollo: Interrupted. The next call begins anew."], err
    assert process.returncode in (130, -signal.SIGINT)
