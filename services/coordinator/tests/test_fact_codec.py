"""Durable facts as JSON: every kind there and back, and bodies of other versions."""

import json
from dataclasses import MISSING, Field, fields, is_dataclass, replace

import pytest

from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_common.timings import NO_TIMINGS, Timings
from apollo_coordinator.core import facts
from apollo_coordinator.core.codec import KINDS, UnreadableFact, decode, decode_summary, encode, encode_summary
from apollo_coordinator.core.model import Failure, FailureGroup, JobStatus, RecordPlace
from support.scheduling import splits
from support.stored_facts import FACTS, STORED, STORED_SUMMARY, SUMMARY, TIMINGS

JOB = JobId("j")
ATTEMPT = AttemptId("j-r-00003-1")


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_survives_the_journal(fact):
    kind, body = encode(fact)
    assert decode(kind, body, job=fact.job, at_ms=fact.at_ms) == fact


def test_every_kind_is_tried():
    assert {type(fact) for fact in FACTS} == set(KINDS.values())


def test_what_the_first_version_wrote_is_read_in_full():
    """A field that is renamed would silently take its default: none of these has it."""
    stored = json.loads(STORED.read_text())
    assert [
        decode(row["kind"], row["body"], job=fact.job, at_ms=fact.at_ms)
        for fact, row in zip(FACTS, stored, strict=True)
    ] == list(FACTS)


def test_a_summary_as_it_was_first_written_is_read_in_full():
    assert decode_summary(STORED_SUMMARY.read_text()) == SUMMARY
    assert decode_summary(encode_summary(SUMMARY)) == SUMMARY


def test_a_summary_keeps_timings_and_an_older_one_has_none():
    timed = replace(SUMMARY, map_timings=TIMINGS, reduce_timings=Timings(sort_ms=9))
    assert decode_summary(encode_summary(timed)) == timed
    assert SUMMARY.map_timings == NO_TIMINGS


def test_a_summary_keeps_groups_of_failures_and_an_older_one_has_none():
    group = FailureGroup(
        "0123456789abcdef",
        *("program_exited", "it ended", ATTEMPT, 5, 6, "map.py", 1, 9, ("line 1", "line 2"), "s3://in", 7, 800, 200, 3),
        RecordPlace("s3://in", 9, 4, "bad\n"),
    )
    failed = replace(SUMMARY, failures=(group, replace(group, fingerprint="other", lines=())))
    assert decode_summary(encode_summary(failed)) == failed
    assert SUMMARY.failures == ()


def test_a_summary_of_a_later_version_is_refused():
    with pytest.raises(UnreadableFact, match="later version"):
        decode_summary('{"v":3}')


def test_the_facts_that_are_tried_have_no_field_at_its_default():
    met: dict[tuple[type, str], list[object]] = {}
    for thing in _parts(FACTS):
        for entry in fields(thing):
            met.setdefault((type(thing), entry.name), []).append(getattr(thing, entry.name) != _default(entry))
    assert [key for key, differs in met.items() if not any(differs)] == []


def _default(entry: Field) -> object:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def _parts(thing):
    """All dataclasses inside."""
    if is_dataclass(thing):
        yield thing
        thing = [getattr(thing, entry.name) for entry in fields(thing)]
    if isinstance(thing, list | tuple):
        for part in thing:
            yield from _parts(part)


def test_a_body_with_unknown_fields_is_read():
    body = json.dumps({"v": 1, "attempt": ATTEMPT, "worker": "w", "rack": "r7"})
    assert decode("attempt-started", body, job=JOB, at_ms=4) == facts.AttemptStarted(4, ATTEMPT, WorkerId("w"))


def test_fields_that_an_older_version_did_not_write_take_their_default():
    body = json.dumps({"v": 1, "status": "failed", "failure": {"reason": "r", "message": "m"}})
    expected = facts.JobEnded(1, JOB, JobStatus.FAILED, Failure("r", "m"))
    assert decode("job-ended", body, job=JOB, at_ms=1) == expected


@pytest.mark.parametrize(("kind", "body"), [("job-teleported", "{}"), ("job-cleaned", '{"v":3}')])
def test_a_fact_of_a_later_version_is_refused(kind, body):
    with pytest.raises(UnreadableFact, match="later version"):
        decode(kind, body, job=JOB, at_ms=1)


def test_a_fact_without_what_it_needs_is_refused():
    with pytest.raises(UnreadableFact, match="AttemptStarted without worker"):
        decode("attempt-started", json.dumps({"attempt": ATTEMPT}), job=JOB, at_ms=1)


def test_a_hundred_thousand_splits_stay_one_small_blob():
    _, body = encode(facts.MapsPlanned(1, JOB, splits(100_000)))
    assert len(body) < 2_000_000
