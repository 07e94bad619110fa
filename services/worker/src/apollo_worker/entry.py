"""The command's first step: it heeds a signal to end before the rest is imported, which takes a second.

As the first process of a container it gets no signal that it has not asked for (pid_namespaces(7)): a pod that is
deleted while its worker starts would wait out its whole grace.
"""

import os
import signal


def main() -> int:
    """The `apollo-worker` command: see apollo_worker.app."""
    signal.signal(signal.SIGTERM, _end_at_once)
    from apollo_worker.app import main as run  # noqa: PLC0415 - behind the handler

    return run()


def _end_at_once(number: int, _frame: object) -> None:
    """There is nothing to clean up yet. What is built up later takes the signal over first."""
    os._exit(128 + number)
