"""The order in which facts become safe."""

import asyncio
import random

from apollo_common.backoff import Backoff
from apollo_common.ids import JobId
from apollo_coordinator.core import facts
from apollo_coordinator.core.codec import decode
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.engine.observer import UNOBSERVED
from apollo_coordinator.engine.recorder import LONG_PLAN_SPLITS, Recorder
from apollo_coordinator.store.memory import MemoryJournal
from support.scheduling import a_spec, splits


def a_recorder(journal: MemoryJournal) -> Recorder:
    return Recorder(
        journal,
        backoff=Backoff(first_ms=1, limit_ms=1),
        jitter=random.Random(1),
        observer=UNOBSERVED,
        dispatch=lambda _command: None,
        recorded=lambda _fact, _number: None,
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
