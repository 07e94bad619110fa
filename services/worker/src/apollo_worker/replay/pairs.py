"""What a map attempt gives to the reducers, as lines in a file."""

from contextlib import aclosing
from pathlib import Path
from typing import Final

from apollo_common.assignment import MapOutputRef
from apollo_common.threads import in_thread
from apollo_proto.apollo import v1
from apollo_worker.core.columns import PairBatch
from apollo_worker.core.slices import bounded_slices
from apollo_worker.output.format import Formatter, formatter
from apollo_worker.pipeline import Places
from apollo_worker.shuffle.key_rules import key_rules
from apollo_worker.shuffle.merge import merged
from apollo_worker.shuffle.volume_store import VolumeStore

_JSON_SUFFIXES: Final = (".json", ".jsonl")


async def write_pairs(
    output: MapOutputRef, partitions: int, keys: v1.KeyRules | None, places: Places, budget_bytes: int, target: Path
) -> None:
    """Behind what is in the file, as key, tab and value, or as JSON lines where its name ends so: by partition, then in
    the order of keys.

    OSError.
    """
    lines = formatter("jsonl" if target.suffix in _JSON_SUFFIXES else "text")
    store, rules = VolumeStore(places.volume), key_rules(keys)
    for partition in range(partitions):
        shuffled = merged([output], store, partition, budget_bytes, scratch=places.scratch)
        async with aclosing(rules.restored(shuffled)) as pairs:
            async for batch in pairs:
                await in_thread(_append, target, batch, lines)


def _append(target: Path, batch: PairBatch, lines: Formatter) -> None:
    with target.open("ab") as file:
        for piece in bounded_slices(batch):
            file.write(lines(piece))
