"""The largest group of sorted pairs, however they are cut into batches, beside collections.Counter."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from apollo_worker.core.columns import PairBatch
from apollo_worker.shuffle.group import Grouping, key_at
from apollo_worker.shuffle.largest_group import SHOWN_KEY_BYTES, LargestGroup
from support.shuffling import batches


def largest_of(cut: list[PairBatch], grouping: Grouping) -> LargestGroup:
    found, last_key = LargestGroup(), None
    for batch in cut:
        continues = last_key is not None and grouping.joins(last_key, key_at(batch, 0))
        found.add(batch, grouping.starts(batch), continues=continues)
        last_key = key_at(batch, len(batch) - 1)
    return found


KEYS = st.sampled_from([b"", b"a\t1", b"a\t2", b"b", b"k" * 100])


@given(st.lists(KEYS, min_size=1), st.integers(1, 5), st.integers(0, 1))
def test_it_is_the_most_frequent_key(keys, batch_rows, fields):
    keys.sort()
    found = largest_of(batches([(key, b"v") for key in keys], batch_rows), Grouping(fields))
    groups = Counter(key.split(b"\t")[0] if fields else key for key in keys)
    assert (found.records, found.of_records) == (max(groups.values()), len(keys))
    most = found.key.split(b"\t")[0] if fields else found.key
    assert found.records == sum(count for key, count in groups.items() if key[:SHOWN_KEY_BYTES] == most)
    assert found.key in {key[:SHOWN_KEY_BYTES] for key in keys}
