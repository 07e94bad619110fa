"""How many pods each job gets and which ones it does not need any more. Pure.

A job asks for as many workers as it has tasks to run in its present phase. Pods are reused from map to reduce, so one
that is idle is kept for a while; one that has not started yet goes at once. Pods belong to one job: where jobs want
more than there may be, each gets a fair share, and one that has more gives up pods as their attempts end.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

from apollo_common.ids import JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A pod of the job that has not ended and is not about to."""

    name: str
    started: bool  # a worker is there, or may be any moment
    idle_seconds: float | None  # None: it is at work, or is not known yet


class Plan(NamedTuple):
    create: int
    let_go: list[str]


def plan(wanted: int, members: Sequence[Member], *, share: int | None, keep_idle_seconds: float) -> Plan:
    """`share`: how many pods the job may have, so that others get theirs; None: there are enough for all."""
    target = wanted if share is None else min(wanted, share)
    if len(members) <= target:
        return Plan(target - len(members), [])
    waiting = [member.name for member in members if not member.started]
    resting = [member for member in members if member.started and (member.idle_seconds or 0) >= keep_idle_seconds]
    resting.sort(key=lambda member: -(member.idle_seconds or 0))
    unneeded = [*waiting[::-1], *(member.name for member in resting if member.idle_seconds is not None)]
    let_go = unneeded[: len(members) - target]
    over_share = 0 if share is None else max(len(members) - share - len(let_go), 0)
    others = [member for member in members if member.name not in let_go]
    others.sort(
        key=lambda member: -1.0 if member.idle_seconds is None else member.idle_seconds
    )  # who works stays longest
    return Plan(0, let_go + [member.name for member in others[len(others) - over_share :]])


def fair_shares(wanted: Mapping[JobId, int], there: Mapping[JobId, int], most: int) -> dict[JobId, int]:
    """How many of `most` pods each job may have: as many as it wants, unless others get less (max-min fairness).

    `wanted` has the oldest job first, `there` says how many pods jobs have. What does not divide goes to those that
    have one more than the others already, then to the oldest: shares that are met stay as they are, and no job gives
    up its last pod for the first of another.
    """
    shares = dict.fromkeys(wanted, 0)
    short, left = [job for job, wish in wanted.items() if wish], most
    while short and (each := left // len(short)):
        for job in short:
            given = min(each, wanted[job] - shares[job])
            shares[job] += given
            left -= given
        short = [job for job in short if shares[job] < wanted[job]]
    short.sort(key=lambda job: there.get(job, 0) <= shares[job])
    for job in short[:left]:
        shares[job] += 1
    return shares


def in_turn(missing: Mapping[JobId, int], there: Mapping[JobId, int]) -> Iterator[JobId]:
    """The order in which pods are made, one entry for each: jobs that have the fewest go first, whatever they miss."""
    queues = (
        zip(range(there[job], there[job] + count), repeat(number), repeat(job))
        for number, (job, count) in enumerate(missing.items())
    )
    return (job for _, _, job in heapq.merge(*queues))
