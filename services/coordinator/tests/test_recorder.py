"""The order in which facts become safe."""

import random

from prometheus_client import CollectorRegistry

from apollo_common.backoff import Backoff
from apollo_common.ids import JobId
from apollo_coordinator.core import facts
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.engine.recorder import Recorder
from apollo_coordinator.metrics import EngineMetrics
from apollo_coordinator.store.memory import MemoryJournal
from support.scheduling import a_spec


async def test_what_a_submission_rests_on_is_journaled_before_it():
    """A job takes over the output of one that has ended: after a crash there must not be two that own it."""
    journal = MemoryJournal()
    recorder = Recorder(
        journal,
        backoff=Backoff(first_ms=1, limit_ms=1),
        jitter=random.Random(1),
        metrics=EngineMetrics(CollectorRegistry()),
        dispatch=lambda _command: None,
        recorded=lambda _fact, _number: None,
    )
    recorder.record([facts.JobEnded(1, JobId("first"), JobStatus.STOPPED, None)], [])
    await recorder.record_first(facts.JobAccepted(2, JobId("second"), a_spec()))
    assert [(fact.sequence, fact.kind, fact.job) for fact in journal.facts] == [
        (1, "job-ended", "first"),
        (2, "job-accepted", "second"),
    ]
    await recorder.caught_up()
