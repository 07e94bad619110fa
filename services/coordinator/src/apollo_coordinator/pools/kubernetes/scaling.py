"""How many pods a job gets and which ones it does not need any more. Pure.

A job asks for as many workers as it has tasks to run in its present phase. Pods are reused from map to reduce, so one
that is idle is kept for a while; one that has not started yet goes at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A pod of the job that has not ended."""

    name: str
    started: bool  # a worker is there, or may be any moment
    idle_seconds: float | None  # None: it is at work, or is not known yet


class Plan(NamedTuple):
    create: int
    delete: list[str]


def plan(wanted: int, members: Sequence[Member], *, room: int, keep_idle_seconds: float) -> Plan:
    """`room`: how many more pods there may be in all."""
    if len(members) <= wanted:
        return Plan(min(wanted - len(members), max(room, 0)), [])
    surplus = len(members) - wanted
    waiting = [member.name for member in members if not member.started]
    resting = [member for member in members if member.started and (member.idle_seconds or 0) >= keep_idle_seconds]
    resting.sort(key=lambda member: -(member.idle_seconds or 0))
    return Plan(0, [*waiting[::-1], *(member.name for member in resting if member.idle_seconds is not None)][:surplus])
