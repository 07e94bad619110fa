from apollo_coordinator.pools.kubernetes.scaling import Member, Plan, plan

BUSY = Member(name="busy", started=True, idle_seconds=None)


def waiting(name: str) -> Member:
    return Member(name=name, started=False, idle_seconds=None)


def idle(name: str, seconds: float) -> Member:
    return Member(name=name, started=True, idle_seconds=seconds)


def settle(wanted: int, *members: Member, room: int = 100) -> Plan:
    return plan(wanted, members, room=room, keep_idle_seconds=30)


def test_what_is_missing_is_created_as_far_as_there_is_room():
    assert settle(5, BUSY) == (4, [])
    assert settle(5, BUSY, room=1) == (1, [])
    assert settle(5, BUSY, room=-3) == (0, [])


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
