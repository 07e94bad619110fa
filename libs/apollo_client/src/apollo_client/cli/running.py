"""Runs a command's asynchronous work until it ends or is interrupted."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


def _signals() -> list[signal.Signals]:
    """Those that interrupt a command. Under nohup, which has SIGHUP ignored, the end of a terminal is none of them."""
    hangup = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGINT, signal.SIGTERM, *hangup]


def run_async(work: Coroutine[Any, Any, int]) -> int:
    """Run a command's work; the exit status.

    SIGINT, SIGTERM and SIGHUP cancel the work once. What it then does to clean up is bounded in time, so signals
    that follow are not needed to end it and are ignored. A reader of our output that has left ends the work as SIGPIPE
    would have; click would make it an exit status of 1.
    """
    try:
        return asyncio.run(_interruptible(work))
    except BrokenPipeError:
        return 128 + signal.SIGPIPE


async def _interruptible(work: Coroutine[Any, Any, int]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def interrupt(number: int) -> None:
        if not received:
            received.append(number)
            task.cancel()

    for number in _signals():
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]
