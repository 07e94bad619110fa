import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apollo_client.errors import LocalModeFailed
from apollo_client.private_directory import MAX_SOCKET_PATH_BYTES, abandoned_directories, new_private_directory

HOLD = """
import time
from apollo_client.private_directory import new_private_directory
print(new_private_directory().path, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def parent(tmp_path_factory, monkeypatch):
    """A short path of our own: sockets lie below it."""
    directory = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


def test_it_lies_where_tmpdir_says(parent):
    directory = new_private_directory()
    assert directory.path.parent == parent
    directory.remove()
    assert list(parent.iterdir()) == []


def test_only_those_of_killed_processes_are_abandoned(parent):
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True, env=os.environ.copy())
    held = Path(process.stdout.readline().strip())
    mine = new_private_directory()
    try:
        assert list(abandoned_directories()) == []
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    (abandoned,) = abandoned_directories()
    assert abandoned.path == held
    abandoned.remove()
    mine.remove()


def test_a_long_tmpdir_is_passed_over(parent, monkeypatch):
    long = parent / ("x" * MAX_SOCKET_PATH_BYTES)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("os.access", lambda path, mode: path == str(long))
    with pytest.raises(LocalModeFailed, match="TMPDIR"):
        new_private_directory()
