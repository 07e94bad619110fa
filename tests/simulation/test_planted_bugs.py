"""A simulation that finds nothing proves nothing: bugs planted on purpose are found, by the check meant for them."""

import pytest

from simulation.parts import PARTS
from simulation.planted import BUGS
from simulation.rules import rule_of

MAX_SEEDS = 100


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.plant.__name__)
def test_a_planted_bug_is_found(bug, monkeypatch):
    bug.plant(monkeypatch)
    spoke = first_broken_rule(bug.part)
    assert spoke in bug.rules


def first_broken_rule(part: str) -> str:
    for seed in range(MAX_SEEDS):
        try:
            PARTS[part].run(seed)
        except Exception as error:  # noqa: BLE001 - a bug may show as anything
            return rule_of(error)
    return f"nothing, in {MAX_SEEDS} seeds"
