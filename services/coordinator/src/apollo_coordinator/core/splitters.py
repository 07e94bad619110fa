"""The `range` partitioner's splitters: keys that cut the key space into parts of about the same number of pairs.

As in TeraSort: some splits are sampled, their keys sorted, and every so many of them one is taken. A key's partition is
the number of splitters that are not above it.
"""

import base64
from collections.abc import Iterable, Sequence

from apollo_common.key_samples import MAX_KEY_BYTES, SAMPLED_SPLITS, pack_keys, unpack_keys
from apollo_coordinator.core.model import Job, Task

MAX_SPLITTERS_BYTES = 1 << 20
"""Of all splitters of a job: each map attempt is sent them."""

_LEAST_CUT_BYTES = 16
_WEIGHT_UNIT = 1 << 20


def needs_sampling(job: Job) -> bool:
    return job.spec.partitioner == "range" and job.spec.n_reducers > 1


def sampled_splits(splits: int) -> tuple[int, ...]:
    """The splits to sample, spread evenly over all."""
    count = min(splits, SAMPLED_SPLITS)
    return tuple(index * splits // count for index in range(count))


def splitters_of(samplers: Iterable[Task], partitions: int) -> str:
    """What the accepted samples come to, packed for a fact."""
    samples = [
        (unpack_keys(base64.b64decode(task.output.sample)), task.output.records)
        for task in samplers
        if task.output is not None
    ]
    return base64.b64encode(pack_keys(choose_splitters(samples, partitions))).decode()


def choose_splitters(samples: Sequence[tuple[Sequence[bytes], int]], partitions: int) -> list[bytes]:
    """At most `partitions` - 1 keys in rising order; fewer where keys repeat or are too few.

    A sample is some keys, evenly spread over those that were seen, and how many that were.
    """
    weighed = sorted((key, max(1, records * _WEIGHT_UNIT // len(keys))) for keys, records in samples for key in keys)
    total = sum(weight for _, weight in weighed)
    cut_bytes = max(_LEAST_CUT_BYTES, min(MAX_KEY_BYTES, MAX_SPLITTERS_BYTES // partitions))
    chosen: list[bytes] = []
    below = 0
    wanted = 1
    for key, weight in weighed:
        while wanted < partitions and below * partitions >= wanted * total:
            splitter = key[:cut_bytes]
            if not chosen or splitter > chosen[-1]:
                chosen.append(splitter)
            wanted += 1
        below += weight
    return chosen
