"""Which faults a seed plays with. A swarm: most seeds have some kinds switched off, so that each shows alone too."""

import random
from dataclasses import dataclass

from apollo_common.errors import ApolloError, StorageUnavailable

KINDS = (
    "slow_worker",
    "killed_worker",
    "cut_off_worker",
    "failing_program",
    "lost_map_output",
    "storage_outage",
    "lost_answer",
    "full_journal",
    "coordinator_crash",
    "stop",
    "pool_refuses",
)


@dataclass
class Faults:
    """`meets(kind)` says whether a fault strikes now; never after `stop`."""

    random: random.Random
    enabled: frozenset[str]
    stopped: bool = False

    @classmethod
    def of(cls, randomness: random.Random) -> "Faults":
        return cls(randomness, frozenset(kind for kind in KINDS if randomness.random() < 0.6))

    def meets(self, kind: str, chance: float) -> bool:
        struck = self.random.random() < chance  # drawn always, so that one kind does not shift the others
        return struck and kind in self.enabled and not self.stopped

    def outage(self) -> ApolloError | None:
        return StorageUnavailable("the store does not answer") if self.meets("storage_outage", 0.15) else None

    def lost_answer(self) -> ApolloError | None:
        return StorageUnavailable("the answer was lost") if self.meets("lost_answer", 0.1) else None
