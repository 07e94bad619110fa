"""What the scheduler has decided: facts to apply and journal, and the commands to run once those are durable."""

from typing import NamedTuple

from apollo_coordinator.core import commands, facts


class Outcome(NamedTuple):
    facts: list[facts.Fact]
    commands: list[commands.Command]
