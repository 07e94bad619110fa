"""Plans a merge of sorted runs in bounded memory: which runs go together, and where to cut the key space into slices.

A slice is a key range that is loaded and sorted at once. All that is known of a run is where each of its batches
begins, so a slice may also meet, of every run, the end of the batch that began in an earlier slice.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Batch(NamedTuple):
    """What a plan knows of one batch. `key` is its first key, or the beginning of it when `whole_key` is false."""

    key: bytes
    whole_key: bool
    cost_bytes: int  # of memory, while it is part of a slice


class Cut(NamedTuple):
    """The end of a slice: keys below `key` belong to it.

    With `streamed`, the pairs that have this key itself are too many for a slice and are passed on run by run. When
    `key` is only the beginning of longer keys (`whole_key` is false), all pairs of keys that begin so are too many, and
    are merged as their batches come.
    """

    key: bytes
    whole_key: bool
    streamed: bool


def plan_slices(batches: Iterable[Batch], slice_bytes: int) -> list[Cut]:
    """Cuts, in rising key order, that keep the batches beginning within any slice at or below `slice_bytes`.

    What follows the last cut is a slice too.
    """
    cuts: list[Cut] = []
    used = 0
    ordered = sorted(batches)
    start = 0
    while start < len(ordered):
        stop, cost, whole = start, 0, True
        while stop < len(ordered) and ordered[stop].key == ordered[start].key:
            cost += ordered[stop].cost_bytes
            whole = whole and ordered[stop].whole_key
            stop += 1
        if used + cost > slice_bytes:
            streamed = cost > slice_bytes
            if used or streamed:
                cuts.append(Cut(ordered[start].key, whole, streamed))
            used = 0 if streamed else cost
        else:
            used += cost
        start = stop
    return cuts


def plan_pass(boundary_costs: Sequence[int], boundary_bytes: int) -> list[range]:
    """Neighbouring runs to merge at once, so that one batch of each fits `boundary_bytes`, but never one run alone.

    `boundary_costs` has each run's largest batch. One range means that a single pass merges everything; otherwise each
    range is to be merged to one run, and those are planned again. Keeping neighbours together keeps the order of
    values. (The last range may be a single run.)
    """
    groups: list[range] = []
    start, used = 0, 0
    for number, cost in enumerate(boundary_costs):
        if number - start >= 2 and used + cost > boundary_bytes:
            groups.append(range(start, number))
            start, used = number, 0
        used += cost
    groups.append(range(start, len(boundary_costs)))
    return groups
