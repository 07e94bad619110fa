"""Durable facts as JSON: every kind there and back, and bodies of other versions."""

import json

import pytest

from apollo_common.assignment import PartUpload
from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_coordinator.core import facts
from apollo_coordinator.core.codec import KINDS, UnreadableFact, decode, encode
from apollo_coordinator.core.model import AttemptOutput, Failure, JobStatus
from apollo_coordinator.core.spec import ProgramRef, ProgramSource, SideFileRef
from support.scheduling import a_spec, splits

JOB = JobId("j")
ATTEMPT = AttemptId("j-r-00003-1")
FAILURE = Failure("program_exited", "the réducer died", task="j-r-00003", signal=9, stderr_tail="boom\n")
SPEC = a_spec(
    combiner=ProgramRef(ProgramSource.ARTIFACT, "combine", "ab" * 32, "frames"),
    files=(SideFileRef("words.txt", "cd" * 32),),
    params={"k": "v"},
    priority=-3,
)
FACTS = [
    facts.JobAccepted(1, JOB, SPEC),
    facts.JobStarted(2, JOB),
    facts.MapsPlanned(3, JOB, splits(3)),
    facts.AttemptStarted(4, ATTEMPT, WorkerId("w")),
    facts.UploadOpened(5, ATTEMPT, "s3://b/part-r-00003", "u"),
    facts.AttemptAccepted(
        6, ATTEMPT, AttemptOutput(upload_id="u", parts=(PartUpload(1, "e", 5),), size_bytes=5), {"apollo": {"n": 1}}
    ),
    facts.AttemptFailed(7, ATTEMPT, FAILURE),
    facts.AttemptLost(8, ATTEMPT, FAILURE),
    facts.AttemptCancelled(9, ATTEMPT, "another one was first"),
    facts.MapOutputLost(10, AttemptId("j-m-00000-0"), FAILURE),
    facts.CommitStarted(11, JOB),
    facts.JobEnded(12, JOB, JobStatus.SUCCEEDED),
    facts.JobEnded(13, JOB, JobStatus.FAILED, FAILURE),
    facts.JobCleaned(14, JOB),
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_survives_the_journal(fact):
    kind, body = encode(fact)
    assert decode(kind, body, job=fact.job, at_ms=fact.at_ms) == fact


def test_every_kind_is_tried():
    assert {type(fact) for fact in FACTS} == set(KINDS.values())


def test_a_body_with_unknown_fields_is_read():
    body = json.dumps({"v": 1, "attempt": ATTEMPT, "worker": "w", "rack": "r7"})
    assert decode("attempt-started", body, job=JOB, at_ms=4) == FACTS[3]


def test_fields_that_an_older_version_did_not_write_take_their_default():
    body = json.dumps({"v": 1, "status": "failed", "failure": {"reason": "r", "message": "m"}})
    expected = facts.JobEnded(1, JOB, JobStatus.FAILED, Failure("r", "m"))
    assert decode("job-ended", body, job=JOB, at_ms=1) == expected


@pytest.mark.parametrize(("kind", "body"), [("job-teleported", "{}"), ("job-cleaned", '{"v":2}')])
def test_a_fact_of_a_later_version_is_refused(kind, body):
    with pytest.raises(UnreadableFact, match="later version"):
        decode(kind, body, job=JOB, at_ms=1)


def test_a_fact_without_what_it_needs_is_refused():
    with pytest.raises(UnreadableFact, match="AttemptStarted without worker"):
        decode("attempt-started", json.dumps({"attempt": ATTEMPT}), job=JOB, at_ms=1)


def test_a_hundred_thousand_splits_stay_one_small_blob():
    _, body = encode(facts.MapsPlanned(1, JOB, splits(100_000)))
    assert len(body) < 2_000_000
