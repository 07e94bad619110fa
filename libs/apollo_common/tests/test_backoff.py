import random

from apollo_common.backoff import Backoff


def test_pauses_double_up_to_the_limit():
    backoff = Backoff(first_ms=100, limit_ms=1_000)
    for failures, whole_ms in [(1, 100), (2, 200), (4, 800), (5, 1_000), (1_000_000, 1_000)]:
        pauses = [backoff.pause_ms(failures) for _ in range(100)]
        assert whole_ms / 2 <= min(pauses) < max(pauses) <= whole_ms


def test_the_same_jitter_gives_the_same_pauses():
    backoff = Backoff(first_ms=100, limit_ms=1_000)
    assert backoff.pause_ms(3, random.Random(7)) == backoff.pause_ms(3, random.Random(7))
