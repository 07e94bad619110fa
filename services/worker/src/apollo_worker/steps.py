"""Finds out where an attempt's time goes, as it passes: every moment belongs to the steps that are going on.

Several at once share it evenly; when none of Apollo's is going on, it is the program's. So the steps add up to the
attempt's time, and the largest is what holds it up. A mark costs two microseconds, and stands where a block of records
is moved, never where a record is.

The clock of the attempt that runs is found in the context, as a tracer's span is: threads and tasks inherit it.
"""

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from apollo_common.timings import Step

T = TypeVar("T")


class StepClock:
    """Of one attempt. Used by its tasks and threads at once."""

    def __init__(self, now_seconds: Callable[[], float] = time.perf_counter) -> None:
        self._now_seconds = now_seconds
        self._lock = threading.Lock()
        self._at = now_seconds()
        self._spent = dict.fromkeys(Step, 0.0)
        self._going_on: dict[Step, int] = {}  # and how often
        self._instead: dict[Step, Step] = {}
        self._whole: Step | None = None

    def begin(self, step: Step) -> None:
        with self._lock:
            self._pass()
            self._going_on[step] = self._going_on.get(step, 0) + 1

    def end(self, step: Step) -> None:
        with self._lock:
            self._pass()
            self._going_on[step] -= 1
            if not self._going_on[step]:
                del self._going_on[step]

    def swap(self, step: Step, other: Step) -> None:
        """From now on what `step` takes counts as `other`."""
        with self._lock:
            self._pass()
            self._instead[step] = other

    def give_all(self, step: Step | None) -> None:
        """From now on every moment is the step's, whatever goes on. None: no longer."""
        with self._lock:
            self._pass()
            self._whole = step

    def spent_seconds(self) -> dict[Step, float]:
        """Until now."""
        with self._lock:
            self._pass()
            return dict(self._spent)

    def _pass(self) -> None:
        now = self._now_seconds()
        passed, self._at = now - self._at, now
        if self._whole is not None or not self._going_on:
            self._spent[self._whole or Step.PROGRAM] += passed
            return
        share = passed / len(self._going_on)
        for step in self._going_on:
            self._spent[self._instead.get(step, step)] += share


_clock: ContextVar[StepClock | None] = ContextVar("step clock", default=None)
_UNTIMED: Final = nullcontext()


@contextmanager
def timed_by(clock: StepClock) -> Iterator[None]:
    """Whatever is done meanwhile, by tasks and threads that are started here, is timed."""
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)


def doing(step: Step) -> AbstractContextManager[None]:
    """Meanwhile the step is going on. It holds the attempt up, so waiting for the program has no place in it.

    May be entered again and again, for as long as the attempt runs in whose context it was made.
    """
    clock = _clock.get()
    return _UNTIMED if clock is None else _Doing(clock, step)


@contextmanager
def counting(step: Step, *, as_: Step) -> Iterator[None]:
    """Meanwhile what the step takes, if it is going on, counts as another's: for a thread that does work ahead of its
    time, which holds the attempt up only while somebody waits for it.
    """
    clock = _clock.get()
    if clock is None:
        yield
        return
    clock.swap(step, as_)
    try:
        yield
    finally:
        clock.swap(step, step)


@contextmanager
def wholly(step: Step) -> Iterator[None]:
    """Meanwhile the attempt does nothing else: what goes on inside is part of the step."""
    clock = _clock.get()
    if clock is None:
        yield
        return
    clock.give_all(step)
    try:
        yield
    finally:
        clock.give_all(None)


class Timed(Generic[T]):
    """The same items; the step is going on while one is awaited."""

    def __init__(self, step: Step, items: AsyncIterator[T]) -> None:
        self._step = step
        self._items = items

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        with doing(self._step):
            return await anext(self._items)


class _Doing:
    __slots__ = ("_clock", "_step")

    def __init__(self, clock: StepClock, step: Step) -> None:
        self._clock = clock
        self._step = step

    def __enter__(self) -> None:
        self._clock.begin(self._step)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clock.end(self._step)
