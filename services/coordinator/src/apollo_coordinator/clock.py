"""The time of day that never goes back."""

import time


class SystemClock:
    """The wall clock at the start, carried on by the monotonic one."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> int:
        return (time.monotonic_ns() + self._offset_ns) // 1_000_000
