"""A journal whose coordinator dies at a chosen append."""

import asyncio
import random
from collections.abc import Sequence
from enum import StrEnum

from apollo_common.ids import AttemptId
from apollo_coordinator.core.apply import apply
from apollo_coordinator.core.codec import decode
from apollo_coordinator.core.facts import AttemptStarted, Fact
from apollo_coordinator.core.state import State
from apollo_coordinator.ports import StoredFact
from apollo_coordinator.store.memory import MemoryJournal

WRITE_SECONDS = 0.02
AFTERMATH_SECONDS = 0.5


class Death(StrEnum):
    """When the coordinator dies, seen from the append."""

    BEFORE = "not written"
    BETWEEN = "written, no command carried out"
    AFTER = "written, commands under way"


class MortalJournal(MemoryJournal):
    """`died` is set when the coordinator is to be closed; from then on nothing it appends is kept.

    `story` and `folded` are what a reader makes of it: every fact, and the state that they lead to.
    """

    def __init__(self, randomness: random.Random) -> None:
        super().__init__()
        self.appends = 0
        self.story: list[Fact] = []
        self.folded = State()
        self.started: set[AttemptId] = set()
        self.died = asyncio.Event()
        self._random = randomness
        self._fatal: tuple[int, Death] | None = None
        self._aftermath: asyncio.TimerHandle | None = None

    def die_at(self, append: int, death: Death) -> None:
        """At this append, counted from 1 over all lives."""
        self._fatal = (append, death)

    def begin_life(self) -> None:
        self._fatal = None
        if self._aftermath is not None:  # the life before ended otherwise, and sooner
            self._aftermath.cancel()
        self.died.clear()

    async def append(self, facts: Sequence[StoredFact]) -> None:
        await asyncio.sleep(self._random.uniform(0, WRITE_SECONDS))
        if self.died.is_set():
            await self._never()
        self.appends += 1
        death = self._fatal[1] if self._fatal is not None and self._fatal[0] == self.appends else None
        if death is Death.BEFORE:
            await self._die()
        await super().append(facts)
        self._read(facts)
        if death is Death.BETWEEN:
            await self._die()
        elif death is Death.AFTER:
            self._aftermath = asyncio.get_running_loop().call_later(
                self._random.uniform(0, AFTERMATH_SECONDS), self.died.set
            )

    def _read(self, stored: Sequence[StoredFact]) -> None:
        for entry in stored:
            fact = decode(entry.kind, entry.body, job=entry.job, at_ms=entry.at_ms)
            self.story.append(fact)
            apply(self.folded, fact)
            if isinstance(fact, AttemptStarted):
                self.started.add(fact.attempt)

    async def _die(self) -> None:
        self.died.set()
        await self._never()

    async def _never(self) -> None:
        """The process is no more: nothing returns."""
        await asyncio.get_running_loop().create_future()
