"""Ports for servers that are told where to listen."""

import secrets
import socket

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
