"""Who is at the other end of a socket: a descendant of this process, a stranger, or somebody who is gone."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apollo_worker.artifact import descent
from apollo_worker.artifact.descent import peer_descends

CONNECT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)"
ANSWER = """
import socket, sys
from apollo_worker.artifact.descent import peer_descends
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("listens", flush=True)
    connection, _ = listener.accept()
    with connection:
        print(peer_descends(connection))
"""
APART = ("unshare", "--pid", "--fork")


@pytest.fixture
def listener(tmp_path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        made.listen()
        yield made


def connected(listener: socket.socket, *command: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """A connection, and the process that was started for it."""
    process = subprocess.Popen([*command, sys.executable, "-S", "-c", CONNECT, listener.getsockname()])
    return listener.accept()[0], process


@pytest.mark.parametrize("command", [(), ("sh", "-c", '"$@"; true', "sh")], ids=["a child", "a grandchild"])
def test_a_descendant(listener, command):
    connection, process = connected(listener, *command)
    with connection:
        assert peer_descends(connection) is True
    process.wait()


def test_one_that_is_gone(listener):
    connection, process = connected(listener)
    with connection:
        process.kill()
        process.wait()
        assert peer_descends(connection) is None


def test_an_ancestor_that_ends_meanwhile_hands_its_children_on(listener, monkeypatch):
    """The shell between is gone when it is asked for its parent, and this process has adopted the peer."""
    connection, process = connected(listener, "sh", "-c", '"$@"; true', "sh")
    peer = descent._CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    before = iter([process.pid, None])
    monkeypatch.setattr(descent, "_parent", lambda asked: next(before, os.getpid()))
    with connection:
        assert peer != process.pid
        assert peer_descends(connection) is True
    process.wait()


@pytest.mark.skipif(
    subprocess.run([*APART, "true"], capture_output=True, check=False).returncode != 0,
    reason="needs the right to make a namespace of process ids",
)
def test_a_process_outside_the_namespace_of_process_ids_is_a_stranger(tmp_path):
    path = tmp_path / "s"
    command = [*APART, sys.executable, "-c", ANSWER, str(path)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(place)) for place in sys.path if place)}
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as server,
        socket.socket(socket.AF_UNIX) as client,
    ):
        assert server.stdout.readline() == b"listens\n"
        client.connect(str(path))
        assert server.stdout.readline() == b"False\n"
