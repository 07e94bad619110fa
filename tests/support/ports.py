"""Ports for servers that are told where to listen."""

import fcntl
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PORTS = range(12_000, 22_000)
"""Below those that the system chooses for connections: none of these takes one before its server listens."""


def free_port(*, beside: int = 0) -> int:
    """A port of loopback that nothing listened on a moment ago, nor on the one that many ports above it."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, socket.socket() as other:
            try:
                probe.bind(("127.0.0.1", port))
                if beside:
                    other.bind(("127.0.0.1", port + beside))
            except OSError:
                continue
            return port


@contextmanager
def alone_on_port_4750() -> Iterator[None]:
    """Commands of pages listen where the coordinator does unless it is told otherwise: one such page at a time."""
    with Path(tempfile.gettempdir(), "apollo-tests-port-4750.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
