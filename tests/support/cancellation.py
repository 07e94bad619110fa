"""Cancels work at every one of its awaits that really waits, one run for each."""

import asyncio
import os
import threading
import types
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from support.leftovers import children, descriptors

MAX_AWAITS = 1000
SETTLE_SECONDS = 5.0


async def cancelled_everywhere(make: Callable[[], Coroutine[Any, Any, object]]) -> int:
    """Run the work, cancelled at its first await, then anew at its second, and so on until it ends by itself.

    After each run no task, descriptor, thread or child process of its making may be left. How many awaits there were.
    The first run is not cancelled: what is loaded and opened once for all stays out of the comparison.
    """
    await make()
    before = _Picture.now()
    for at in range(MAX_AWAITS):
        work = _Work(make(), at)
        task = asyncio.ensure_future(work.run())
        with suppress(asyncio.CancelledError):
            await task
        await _expect_nothing_beyond(before, f"after a cancellation at await {at}")
        if not work.was_cancelled:
            return at
    raise AssertionError(f"the work has more than {MAX_AWAITS} awaits")


class _Work:
    def __init__(self, work: Coroutine[Any, Any, object], cancel_at: int) -> None:
        self._work = work
        self._left = cancel_at
        self.was_cancelled = False

    async def run(self) -> None:
        await self._steps()

    @types.coroutine
    def _steps(self) -> Generator[Any, Any, None]:
        """What the work waits for goes on to the event loop; at its time the whole task is cancelled."""
        task = asyncio.current_task()
        error: BaseException | None = None
        while True:
            try:
                waited = self._work.send(None) if error is None else self._work.throw(error)
            except StopIteration:
                return
            if self._left == 0:
                self.was_cancelled = True
                asyncio.get_running_loop().call_soon(task.cancel)
            self._left -= 1
            try:
                yield waited
                error = None
            except BaseException as raised:  # noqa: BLE001 - handed on to the work
                error = raised


@dataclass(frozen=True)
class _Picture:
    tasks: frozenset[asyncio.Task[Any]]
    open_files: Counter[str]
    threads: frozenset[str]
    processes: frozenset[int]

    @classmethod
    def now(cls) -> "_Picture":
        tasks = (task for task in asyncio.all_tasks() if not task.done())
        # The default executor keeps its threads, which are nobody's.
        threads = (thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_"))
        processes = children(os.getpid())
        return cls(frozenset(tasks), descriptors(os.getpid()), frozenset(threads), frozenset(processes))

    def beyond(self, before: "_Picture") -> list[object]:
        """What is there and was not before."""
        files = self.open_files - before.open_files
        return [
            *(self.tasks - before.tasks),
            *files.elements(),
            *(self.threads - before.threads),
            *(self.processes - before.processes),
        ]


async def _expect_nothing_beyond(before: _Picture, when: str) -> None:
    """What is closed in its own time has a moment."""
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while left := _Picture.now().beyond(before):
        assert asyncio.get_running_loop().time() < deadline, f"{when} there is still {left}"
        await asyncio.sleep(0.01)
