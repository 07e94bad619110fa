"""Calls to the API server that nobody waits for: a bounded number at a time, each in a task with an owner."""

from collections.abc import Callable, Coroutine
from typing import Any

from apollo_common.lifecycle import TaskOwner


class OwnedCalls:
    """There is no queue: what finds no room is asked for again when `ended` tells that a call is over."""

    def __init__(self, most: int, ended: Callable[[], None]) -> None:
        self._most = most
        self._ended = ended
        self._running: set[str] = set()
        self._tasks = TaskOwner()

    @property
    def room(self) -> int:
        """How many more may begin now."""
        return self._most - len(self._running)

    def begin(self, name: str, call: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Begin a call, unless one of this name is under way or there is no room. A defect in it is logged."""
        if name in self._running or self.room <= 0:
            return False
        self._running.add(name)
        self._tasks.spawn(self._run(name, call), name=name)
        return True

    async def close(self) -> None:
        """Cancel what is under way, and wait for its end."""
        await self._tasks.close()

    async def _run(self, name: str, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await call()
        finally:
            self._running.discard(name)
            self._ended()
