import random
from collections import Counter

from apollo_common.ids import JobId
from apollo_coordinator.pools.kubernetes.scaling import Member, Plan, fair_shares, in_turn, plan

BUSY = Member(name="busy", started=True, idle_seconds=None)


def waiting(name: str) -> Member:
    return Member(name=name, started=False, idle_seconds=None)


def idle(name: str, seconds: float) -> Member:
    return Member(name=name, started=True, idle_seconds=seconds)


def settle(wanted: int, *members: Member, share: int | None = None) -> Plan:
    return plan(wanted, members, share=share, keep_idle_seconds=30)


def shares(most: int, *, there: dict[str, int] | None = None, **wanted: int) -> dict[str, int]:
    return dict(fair_shares({JobId(j): w for j, w in wanted.items()}, there or {}, most))


def test_what_is_missing_is_created_as_far_as_the_jobs_share_goes():
    assert settle(5, BUSY) == (4, [])
    assert settle(5, BUSY, share=2) == (1, [])


def test_enough_is_enough():
    assert settle(2, BUSY, waiting("w")) == (0, [])


def test_pods_that_never_started_go_first_and_at_once_the_newest_before_the_others():
    older, newer = waiting("older"), waiting("newer")
    assert settle(1, BUSY, older, newer) == (0, ["newer", "older"])
    assert settle(2, BUSY, older, newer) == (0, ["newer"])


def test_an_idle_pod_is_kept_for_a_while():
    assert settle(0, idle("fresh", 3)) == (0, [])
    assert settle(0, idle("rested", 31)) == (0, ["rested"])


def test_the_longest_idle_go_first_and_no_more_than_the_surplus():
    assert settle(1, idle("a", 31), idle("b", 90), idle("c", 40)) == (0, ["b", "c"])


def test_who_works_stays_whatever_is_wanted():
    assert settle(0, BUSY) == (0, [])


def test_a_job_over_its_share_gives_up_pods_that_work_but_first_those_that_do_not():
    assert settle(3, BUSY, waiting("w"), idle("fresh", 3), share=1) == (0, ["w", "fresh"])
    assert settle(1, idle("a", 0), BUSY, share=1) == (0, ["a"])
    assert settle(3, BUSY, idle("a", 0), idle("b", 0), share=0) == (0, ["busy", "a", "b"])


def test_all_get_what_they_want_while_there_is_enough():
    assert shares(10, a=3, b=7) == {"a": 3, "b": 7}


def test_the_small_wishes_are_met_and_the_others_share_the_rest_to_the_last_pod():
    assert shares(10, a=100, b=1, c=100) == {"a": 5, "b": 1, "c": 4}
    assert shares(2, a=5, b=5, c=5) == {"a": 1, "b": 1, "c": 0}
    assert shares(5) == {}


def test_what_does_not_divide_goes_to_jobs_that_have_it_then_to_the_oldest_however_much_they_want():
    assert shares(2, there={"b": 1, "c": 1}, a=1, b=5, c=5) == {"a": 0, "b": 1, "c": 1}
    assert shares(1, old=100, new=1) == {"old": 1, "new": 0}
    assert shares(5, there={"a": 2, "b": 3}, a=9, b=9) == {"a": 2, "b": 3}
    assert shares(5, there={"b": 5}, a=9, b=9) == {"a": 2, "b": 3}


def test_shares_are_fair_take_no_jobs_last_pod_and_stay_once_they_are_met():
    chance = random.Random(7)
    for _ in range(500):
        most = chance.randint(1, 12)
        wanted = {JobId(f"job{number}"): chance.randint(0, 9) for number in range(chance.randint(1, 16))}
        there = Counter(chance.choices(list(wanted), k=chance.randint(0, most)))
        met = fair_shares(wanted, there, most)
        assert sum(met.values()) == min(most, sum(wanted.values()))
        assert all(met[job] for job in there if wanted[job])
        highest = max(met.values())
        assert all(highest - 1 <= met[job] <= wish for job, wish in wanted.items() if met[job] != wish)
        assert fair_shares(wanted, met, most) == met


def test_creations_take_turns():
    missing = {JobId("big"): 3, JobId("small"): 1}
    assert list(in_turn(missing, {JobId("big"): 0, JobId("small"): 0})) == ["big", "small", "big", "big"]
    assert list(in_turn(missing, {JobId("big"): 1, JobId("small"): 0})) == ["small", "big", "big", "big"]
    assert list(in_turn({}, {})) == []
