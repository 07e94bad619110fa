"""Which faults a seed plays with. A swarm (Groce et al., Swarm Testing, ISSTA 2012): each seed switches about half of
the kinds off and draws the rates of the others, so that each kind shows alone, too, and no kind hides another.
"""

import random
from collections import Counter
from collections.abc import Mapping

KINDS: Mapping[str, float] = {
    # Workers, at each step of a life and for each worker
    "killed_worker": 0.1,
    "cut_off_worker": 0.1,
    "flapping_worker": 0.1,
    "hung_worker": 0.1,
    "drained_worker": 0.1,
    "slow_worker": 0.1,
    "bad_worker": 0.05,
    # Messages
    "late_report": 0.1,
    "broken_stream": 0.05,
    "lost_cancel": 0.5,
    "late_message": 0.15,
    "repeated_message": 0.15,
    "late_pool_event": 0.3,
    # The pool
    "pool_refuses": 0.5,
    "pool_falls_short": 0.6,
    # Programs and their data
    "failing_program": 0.25,
    "full_volume": 0.1,
    "full_quarantine": 0.2,
    "corrupt_segment": 0.2,
    "unreadable_segment": 0.15,
    # Storage
    "call_fails": 0.15,
    "call_hangs": 0.05,
    "lost_answer": 0.1,
    "store_down": 0.1,
    "refused_output": 0.02,
    "refused_input": 0.05,
    "removed_upload": 0.1,
    "removed_finished_upload": 0.05,
    # The coordinator and its users
    "full_journal": 0.2,
    "crash": 0.8,
    "stop": 0.1,
    "lost_submission_answer": 0.3,
}
"""At most how likely each is, every time that it may strike. What it does stands where it is met."""


class Faults:
    """`meets(kind)` says whether a fault strikes now; never once they are `over`.

    Every kind draws from a generator of its own, so that a new kind leaves the others of a seed as they were.
    """

    def __init__(self, seed: object, kinds: Mapping[str, float] = KINDS) -> None:
        self.over = False
        self.fired: Counter[str] = Counter()
        self.random = random.Random(f"details {seed}")
        self._dice = {kind: random.Random(f"{kind} {seed}") for kind in kinds}
        self._chances = {
            kind: most * dice.uniform(0.1, 1.0) if dice.random() < 0.5 else 0.0
            for (kind, most), dice in zip(kinds.items(), self._dice.values(), strict=True)
        }

    def meets(self, kind: str) -> bool:
        chance = self._chances.get(kind)
        struck = chance is not None and not self.over and self._dice[kind].random() < chance
        if struck:
            self.fired[kind] += 1
        return struck

    def seconds(self, most: float) -> float:
        """How long something takes."""
        return self.random.uniform(0.0, most)
