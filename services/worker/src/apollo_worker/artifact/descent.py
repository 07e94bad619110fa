"""Whether a process descends from this one: how a program is told from a stranger that runs under the same user.

A socket's path can be seen by others (/proc/net/unix), and Landlock does not keep them from connecting to it.
"""

import os
import socket
import struct
from pathlib import Path

_STEPS_LIMIT = 1000  # from parent to parent
_CREDENTIALS = struct.Struct("=3i")  # struct ucred of unix(7): process id, user id, group id


def peer_descends(connection: socket.socket) -> bool | None:
    """Of the process that connected. None when it has ended since.

    Launchers are subreapers, so a program's daemons keep them, and the worker, as ancestors. A process outside this
    one's namespace of process ids, whose id the kernel gives as 0, is nobody's descendant.
    """
    content = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    peer: int = _CREDENTIALS.unpack(content)[0]
    process = peer
    for _ in range(_STEPS_LIMIT):
        if process == os.getpid():
            return True
        if process == 0:
            return False
        parent = _parent(process)
        if parent is None and process == peer:
            return None
        # An ancestor that has just ended has handed its children on: look again from the start.
        process = peer if parent is None else parent
    return False


def _parent(process: int) -> int | None:
    """Its parent's process id, 0 for none; None when it has ended. proc_pid_stat(5), field 4."""
    try:
        stat = Path(f"/proc/{process}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(b")")[2].split()[1])
