from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from apollo_worker.core.merge_plan import Batch, Cut, plan_pass, plan_slices

BATCHES = st.lists(st.builds(Batch, st.binary(max_size=2), st.booleans(), st.integers(1, 50)), max_size=40)


def batch(key: bytes, cost_bytes: int, *, whole_key: bool = True) -> Batch:
    return Batch(key, whole_key, cost_bytes)


def test_everything_that_fits_needs_no_cut():
    assert plan_slices([batch(b"a", 5), batch(b"b", 5)], 10) == []


def test_a_slice_ends_before_it_would_overflow():
    batches = [batch(b"c", 6), batch(b"a", 6), batch(b"b", 4)]
    assert plan_slices(batches, 10) == [Cut(b"c", whole_key=True, streamed=False)]


def test_a_key_larger_than_a_slice_is_streamed():
    batches = [batch(b"a", 1), batch(b"b", 6), batch(b"b", 6), batch(b"c", 1)]
    assert plan_slices(batches, 10) == [Cut(b"b", whole_key=True, streamed=True)]


def test_a_cut_beginning_of_a_key_is_marked():
    assert plan_slices([batch(b"b", 6), batch(b"b", 6, whole_key=False)], 10) == [
        Cut(b"b", whole_key=False, streamed=True)
    ]


@given(BATCHES, st.integers(1, 100))
def test_no_slice_is_larger_than_allowed(batches, slice_bytes):
    cuts = plan_slices(batches, slice_bytes)
    assert [cut.key for cut in cuts] == sorted({cut.key for cut in cuts})
    bounds = [b"", *[cut.key for cut in cuts], None]
    streamed = {cut.key for cut in cuts if cut.streamed}
    for low, high in pairwise(bounds):
        inside = [b for b in batches if b.key >= low and (high is None or b.key < high) and b.key not in streamed]
        assert sum(one.cost_bytes for one in inside) <= slice_bytes
    for key in streamed:
        assert sum(one.cost_bytes for one in batches if one.key == key) > slice_bytes


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 200))
def test_a_pass_takes_neighbours_and_shrinks(costs, boundary_bytes):
    groups = plan_pass(costs, boundary_bytes)
    assert [number for group in groups for number in group] == list(range(len(costs)))
    assert all(len(group) >= 2 for group in groups[:-1])
    for group in groups:
        assert len(group) <= 2 or sum(costs[number] for number in group) <= boundary_bytes
    assert len(groups) == 1 or len(groups) < len(costs)
