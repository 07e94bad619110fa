"""Lifetimes inside a service: background tasks with an owner, and the wish to stop."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from apollo_common.logging import get_logger

_log = get_logger(__name__)

T = TypeVar("T")


class TaskOwner:
    """Owns background tasks: each is named, its failure is heard of, and `close` ends and awaits all of them.

    Unlike asyncio.TaskGroup it lives as long as its object and one task's failure does not end the others.
    """

    def __init__(self, on_failure: Callable[[str, BaseException], None] | None = None) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_failure = on_failure
        self._closed = False

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Start `work` now; RuntimeError once closed."""
        if self._closed:
            work.close()
            raise RuntimeError(f"{name}: started after its owner was closed")
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel what still runs and wait until all of it has ended."""
        self._closed = True
        while running := {task for task in self._tasks if task is not asyncio.current_task()}:
            for task in running:
                task.cancel()
            await asyncio.wait(running)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        if self._on_failure is None:
            _log.error("background task failed", task_name=task.get_name(), exc_info=error)
        else:
            self._on_failure(task.get_name(), error)


async def cancel_and_wait(task: asyncio.Task[Any]) -> None:
    """End one task and wait for it; how it ended is of no interest."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await `work` to its end even when the caller is cancelled meanwhile; the cancellation then goes on."""
    task = asyncio.ensure_future(work)
    interrupted: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            interrupted = error
    if interrupted is not None:
        if not task.cancelled():
            task.exception()  # seen; the cancellation is what the caller hears of
        raise interrupted
    task.result()


async def opened(opening: Coroutine[Any, Any, T], close: Callable[[T], Coroutine[Any, Any, None]]) -> T:
    """What `opening` returns. It is seen through to its end: for a caller cancelled meanwhile the result is closed."""
    task = asyncio.ensure_future(opening)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await to_the_end(_close_opened(task, close))
        raise


async def _close_opened(task: "asyncio.Future[T]", close: Callable[[T], Coroutine[Any, Any, None]]) -> None:
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        await close(task.result())


@contextmanager
def stop_signals(*signals: signal.Signals) -> Iterator[asyncio.Event]:
    """An event that SIGINT or SIGTERM sets; the handlers are taken away at the end."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    wanted = signals or (signal.SIGINT, signal.SIGTERM)
    for number in wanted:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)
