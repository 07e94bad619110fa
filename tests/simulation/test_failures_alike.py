"""The rule about programs that fail alike, on stories made for it: the seeds bring that about too seldom."""

import pytest

from apollo_common.ids import AttemptId, JobId, WorkerId
from apollo_coordinator.core import facts
from apollo_coordinator.core.model import Failure
from simulation.journal_rules import failures_alike_are_not_tried_again
from simulation.rules import RuleBroken
from support.scheduling import a_spec

LOST = facts.MapOutputLost(3, AttemptId("j-m-00000-0"), Failure("fetch_failed", "it cannot be read"))


def story(*ends: tuple[str, int], **spec: int) -> list[facts.Fact]:
    """Of one map: each attempt's worker and the exit status with which it failed, and then one more attempt."""
    told: list[facts.Fact] = [facts.JobAccepted(1, JobId("j"), a_spec(**spec))]
    for number, (worker, status) in enumerate([*ends, ("w9", 0)]):
        attempt = AttemptId(f"j-m-00000-{number}")
        told.append(facts.AttemptStarted(2, attempt, WorkerId(worker)))
        if number < len(ends):
            told.append(facts.AttemptFailed(3, attempt, Failure("program_exited", "it ended", exit_status=status)))
    return told


def test_one_attempt_too_many_is_found():
    with pytest.raises(RuleBroken, match="failures_alike_are_not_tried_again"):
        failures_alike_are_not_tried_again(story(("w1", 1), ("w1~2", 2), ("w2", 1)))


@pytest.mark.parametrize(
    "sound",
    [
        story(("w1", 1), ("w2", 2)),
        story(("w1", 1), ("w1~2", 1)),
        story(("w1", 1), ("w2", 1), max_bad_records=5),
        [*story(("w1", 1), ("w2", 1))[:-1], LOST, *story(("w1", 1), ("w2", 1))[-1:]],
    ],
    ids=["another status", "the same worker", "bad records may be skipped", "it was done before"],
)
def test_what_is_right_is_let_through(sound):
    failures_alike_are_not_tried_again(sound)
