"""The engine, with messages that come late and twice, and with every decision looked at before it is carried out."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from apollo_coordinator.core import commands, events, facts, invariants
from apollo_coordinator.core.outcome import Outcome
from apollo_coordinator.engine import Engine
from simulation import checks
from simulation.faults import Faults
from simulation.journal import MortalJournal

LATE_SECONDS = 5.0
CHECK_EVERY = 8
"""Looking at the whole state costs more than an event does."""

REPORTS = (
    events.AttemptProgressed
    | events.AttemptDone
    | events.AttemptFailed
    | events.FetchFailed
    | events.AttemptCancelled
    | events.AttemptLost
)
FROM_POOL = events.WorkerJoined | events.WorkerDraining | events.WorkerLeft | events.PoolTroubled


class WatchedEngine(Engine):
    """What breaks goes into `defects`: whoever posted the event may not look at it."""

    def __init__(
        self,
        *arguments: Any,
        faults: Faults,
        journal: MortalJournal,
        seen: Counter[str],
        defects: list[Exception],
        **more: Any,
    ) -> None:
        super().__init__(*arguments, **more)
        self._faults = faults
        self._watched_journal = journal
        self._seen = seen
        self._defects = defects
        self._events = 0
        self._from_pool: deque[events.Event] = deque()

    def post(self, event: events.Event) -> None:
        if isinstance(event, FROM_POOL):
            self._hear_pool(event)
        elif not isinstance(event, REPORTS):
            self._deliver(event)
        else:
            if self._faults.meets("repeated_message"):
                self._later(self._deliver, event)
            if self._faults.meets("late_message"):
                self._later(self._deliver, event)
            else:
                self._deliver(event)

    def _hear_pool(self, event: events.Event) -> None:
        """A pool is heard in order, but may fall behind what is heard of attempts."""
        self._from_pool.append(event)
        if len(self._from_pool) > 1:
            return
        if self._faults.meets("late_pool_event"):
            self._later(self._hear_rest)
        else:
            self._hear_rest()

    def _hear_rest(self) -> None:
        while self._from_pool:
            self._deliver(self._from_pool.popleft())

    def _later(self, hear: Callable[..., None], *event: events.Event) -> None:
        asyncio.get_running_loop().call_later(self._faults.seconds(LATE_SECONDS), hear, *event)

    def _deliver(self, event: events.Event) -> None:
        try:
            super().post(event)
        except Exception as error:
            self._defects.append(error)
            raise

    def _settle(self, event: events.Event, outcome: Outcome) -> None:
        checks.nothing_is_sent_to_a_lost_worker(self.state, outcome.commands)
        self._count(outcome)
        super()._settle(event, outcome)
        self._events += 1
        if self._events % CHECK_EVERY == 0:
            self.check()

    def _count(self, outcome: Outcome) -> None:
        for fact in outcome.facts:
            if isinstance(fact, facts.WorkerSuspected) and fact.quarantined:
                self._seen["worker quarantined"] += 1
            elif isinstance(fact, facts.TroubleSeen):
                self._seen["trouble told"] += 1
        for command in outcome.commands:
            if isinstance(command, commands.AttachAttempt):
                self._seen["attempt attached again"] += 1

    def check(self) -> None:
        invariants.check(self.state)
        if not self._recorder._facts:  # what is decided is journaled
            checks.the_journal_tells_the_state(self._watched_journal.folded, self.state)
