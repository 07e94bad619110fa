"""The asyncio tasks that the API owns: work that must end well without its client, and streams that must end at all."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from apollo_coordinator.api.problem import ApiProblem

Result = TypeVar("Result")


class OwnedTasks:
    """`begin` work that goes on to its end; `stream` while the server is open, at most `max_streams` at once."""

    def __init__(self, max_streams: int) -> None:
        self._max_streams = max_streams
        self._working: set[asyncio.Task[Any]] = set()
        self._streaming: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        """Start `work`. Await it through a shield: without its caller it still goes on, and `close` waits for it."""
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._done)
        return task

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Have the current task cancelled when the server closes. 503 when there are too many."""
        if len(self._streaming) >= self._max_streams:
            raise ApiProblem(503, "Too many streams are open. Try again later.", headers={"Retry-After": "10"})
        task = cast("asyncio.Task[Any]", asyncio.current_task())  # handlers run in tasks
        self._streaming.add(task)
        try:
            yield
        finally:
            self._streaming.discard(task)

    def end_streams(self) -> None:
        for task in list(self._streaming):
            task.cancel()

    async def close(self) -> None:
        await asyncio.gather(*self._working, return_exceptions=True)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._working.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still listens hears of it through the shield
