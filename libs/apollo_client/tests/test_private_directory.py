import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apollo_client.private_directory import PREFIX, private_directory

HOLD = """
import time
from apollo_client.private_directory import private_directory
with private_directory() as directory:
    print(directory, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def parent(tmp_path_factory, monkeypatch):
    """A short path of our own: sockets lie below it."""
    directory = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


def hold(parent):
    """Another process that has a directory, and the directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(parent)}
    )
    return process, Path(process.stdout.readline().strip())


def make_old(directory):
    os.utime(directory, (0, 0))


def end(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_it_is_private_and_goes(parent):
    with private_directory() as directory:
        assert directory.parent == parent
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "data").mkdir()
    assert list(parent.iterdir()) == []


def test_what_a_killed_process_left_is_swept_by_the_next(parent):
    process, left = hold(parent)
    end(process)
    assert left.is_dir()
    make_old(left)
    with private_directory() as directory:
        assert list(parent.iterdir()) == [directory]


def test_what_a_living_process_has_is_left_alone(parent):
    process, held = hold(parent)
    make_old(held)
    try:
        with private_directory():
            assert held.is_dir()
    finally:
        end(process)


def test_a_new_directory_is_left_alone(parent):
    just_made = parent / f"{PREFIX}new"
    just_made.mkdir()
    with private_directory():
        assert just_made.is_dir()
