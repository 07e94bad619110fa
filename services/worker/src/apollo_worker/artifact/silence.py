"""The clock of a program's silence: no bytes in or out for too long means that it hangs."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Silence:
    """Stands still while Apollo itself is what the program waits for (a slow input, a sink that spills)."""

    def __init__(self, timeout_ms: int) -> None:
        """`timeout_ms` of silence are too long; 0 means never."""
        self._timeout_s = timeout_ms / 1000
        self._pauses = 0
        self._last_s = 0.0
        self.touch()

    def touch(self) -> None:
        """A byte went in or out."""
        self._last_s = asyncio.get_running_loop().time()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Whatever happens inside is no silence of the program."""
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            self.touch()

    async def exceeded(self) -> None:
        """Returns when the program has been silent for too long."""
        if not self._timeout_s:
            await asyncio.Event().wait()
        while True:
            if self._pauses:
                self.touch()
            left_s = self._last_s + self._timeout_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)
