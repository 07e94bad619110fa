"""How long to wait between tries."""

import random
from dataclasses import dataclass

_spread = random.Random()  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double with each failure in a row, up to a limit, and are jittered."""

    first_ms: int
    limit_ms: int
    tries: int = 0  # 0: until it succeeds or meets a permanent error

    def pause_ms(self, failures: int, jitter: random.Random = _spread) -> float:
        """After so many failures (from 1): between half and all of first_ms * 2^(failures - 1), at most `limit_ms`."""
        whole = min(self.first_ms << min(failures - 1, 32), self.limit_ms)
        return whole * (0.5 + 0.5 * jitter.random())
