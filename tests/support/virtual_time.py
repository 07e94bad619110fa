"""An event loop whose sleeps cost nothing: when nothing is ready, time jumps to the next timer."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Deadlock(AssertionError):
    """Every task waits for another one, and no timer is set."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """For code without sockets and processes. Starts at time 0; the same code takes the same steps."""

    def __init__(self) -> None:
        self._now_seconds = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now_seconds

    def jump(self, seconds: float) -> None:
        self._now_seconds += seconds

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """What a thread would do is done at once."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it goes to whoever awaits the result
            done.set_exception(error)
        return done


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock("every task waits and no timer is set")
        self._loop.jump(timeout)
        return []


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
