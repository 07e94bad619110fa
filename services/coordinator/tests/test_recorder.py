"""The order in which facts become safe."""

import asyncio
import random

import pytest

from apollo_common.backoff import Backoff
from apollo_common.errors import VolumeFull
from apollo_common.ids import JobId
from apollo_coordinator.core import facts
from apollo_coordinator.core.codec import decode
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.engine.observer import UNOBSERVED, EngineObserver, Unobserved
from apollo_coordinator.engine.recorder import LONG_PLAN_SPLITS, Recorder
from apollo_coordinator.store.memory import MemoryJournal
from support.scheduling import a_spec, splits


class Failures(Unobserved):
    def __init__(self) -> None:
        self.count = 0

    def append_failed(self) -> None:
        self.count += 1


class HangingJournal(MemoryJournal):
    """Writes once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.released = asyncio.Event(), asyncio.Event()

    async def append(self, facts):
        self.asked.set()
        await self.released.wait()
        await super().append(facts)


class FullJournal(MemoryJournal):
    async def append(self, facts):
        raise VolumeFull("no space left")


def a_recorder(
    journal: MemoryJournal, observer: EngineObserver = UNOBSERVED, told: list[str] | None = None
) -> Recorder:
    """`told`: what it says of the journal."""
    told = [] if told is None else told
    return Recorder(
        journal,
        backoff=Backoff(first_ms=1, limit_ms=1),
        jitter=random.Random(1),
        observer=observer,
        dispatch=lambda _command: None,
        recorded=lambda _fact, _number: None,
        stalled=lambda why: told.append(f"stalled: {why}"),
        written=lambda why: told.append(f"written: {why}"),
    )


async def test_what_a_submission_rests_on_is_journaled_before_it():
    """A job takes over the output of one that has ended: after a crash there must not be two that own it."""
    journal = MemoryJournal()
    recorder = a_recorder(journal)
    recorder.record([facts.JobEnded(1, JobId("first"), JobStatus.STOPPED, None)], [])
    await recorder.record_first(facts.JobAccepted(2, JobId("second"), a_spec()))
    assert [(fact.sequence, fact.kind, fact.job) for fact in journal.facts] == [
        (1, "job-ended", "first"),
        (2, "job-accepted", "second"),
    ]
    await recorder.caught_up()


async def test_a_long_plan_keeps_its_place_in_the_journal():
    journal = MemoryJournal()
    recorder = a_recorder(journal)
    recorded = [
        facts.JobStarted(1, JobId("j")),
        facts.MapsPlanned(2, JobId("j"), splits(LONG_PLAN_SPLITS + 1)),
        facts.JobEnded(3, JobId("j"), JobStatus.STOPPED, None),
    ]
    recorder.record(recorded[:2], [])
    writing = asyncio.create_task(recorder.run())
    await asyncio.sleep(0)
    recorder.record(recorded[2:], [])
    recorder.finish()
    await writing
    kept = [decode(fact.kind, fact.body, job=fact.job, at_ms=fact.at_ms) for fact in journal.facts]
    assert kept == recorded
    assert [fact.job_sequence for fact in journal.facts] == [1, 2, 3]


async def test_an_append_that_hangs_grows_older_until_it_ends():
    journal = HangingJournal()
    recorder = a_recorder(journal)
    assert recorder.append_age_seconds == 0
    writing = asyncio.create_task(recorder.record_first(facts.JobAccepted(1, JobId("j"), a_spec())))
    await journal.asked.wait()
    young = recorder.append_age_seconds
    while recorder.append_age_seconds <= young:
        await asyncio.sleep(0)
    journal.released.set()
    await writing
    assert recorder.append_age_seconds == 0


async def test_a_refused_submission_is_a_failed_append():
    failures = Failures()
    recorder = a_recorder(FullJournal(), failures)
    with pytest.raises(VolumeFull):
        await recorder.record_first(facts.JobAccepted(1, JobId("j"), a_spec()))
    assert failures.count == 1
    assert recorder.append_age_seconds == 0


async def test_it_is_told_once_that_the_journal_cannot_be_written_and_once_that_it_can():
    journal, told = MemoryJournal(), []
    journal.full = True
    recorder = a_recorder(journal, told=told)
    recorder.record([facts.JobStarted(1, JobId("j"))], [])
    writer = asyncio.create_task(recorder.run())
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0)
        with pytest.raises(VolumeFull):
            await recorder.caught_up()
        journal.full = False
        while len(told) < 2:
            await asyncio.sleep(0)
    recorder.finish()
    await writer
    why = "the journal's volume is full; free some space on it"
    assert told == [f"stalled: {why}", f"written: {why}"]
