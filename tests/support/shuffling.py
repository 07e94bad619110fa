"""Plain Python references for the shuffle, and ways to push pairs through it."""

import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

from apollo_common.assignment import MapOutputRef
from apollo_common.key_parts import KeyPart, parse_key_parts
from apollo_worker.core.columns import GroupBatch, PairBatch
from apollo_worker.shuffle.combine import Combiner
from apollo_worker.shuffle.key_rules import KeyRules
from apollo_worker.shuffle.map_output import MapOutputSummary, MapOutputWriter
from apollo_worker.shuffle.merge import merged
from apollo_worker.shuffle.store import MapOutputStore
from apollo_worker.shuffle.volume_store import VolumeStore

Pair = tuple[bytes, bytes]
WORD = 1 << 64
PLAIN = KeyRules()


def reference_hash(key: bytes) -> int:
    """The hash of docs/partitioners.md, one key at a time."""
    result = len(key) * 0x9E3779B97F4A7C15 % WORD
    hashed = key[:1024]
    for position in range(0, max(len(hashed), 1), 8):
        result ^= int.from_bytes(hashed[position : position + 8], "little")
        result = result * 0xFF51AFD7ED558CCD % WORD
        result ^= result >> 32
    result = result * 0x9E3779B97F4A7C15 % WORD
    return result ^ (result >> 32)


def reference_partition(key: bytes, partitions: int) -> int:
    return ((reference_hash(key) >> 32) * partitions) >> 32


def reference_partition_by_fields(key: bytes, fields: int, partitions: int) -> int:
    return reference_partition(b"\t".join(key.split(b"\t")[:fields]), partitions)


def reference_partition_of_hadoop(key: bytes, partitions: int) -> int:
    return (_java_hash(key, 1) & 0x7FFFFFFF) % partitions


def reference_partition_by_key_fields(key: bytes, options: str, separator: bytes, partitions: int) -> int:
    """What Hadoop's KeyFieldBasedPartitioner does with the parts that the options name."""
    result = 0
    for part in parse_key_parts(options):
        result = _java_hash(part_of(key, part, separator) or b"", result)
    return (result & 0x7FFFFFFF) % partitions


def part_of(key: bytes, part: KeyPart, separator: bytes) -> bytes | None:
    """What Hadoop's KeyFieldHelper takes of a key, None where it finds nothing."""
    fields = key.split(separator)
    places = [0]
    for field in fields:
        places.append(places[-1] + len(field) + len(separator))
    begin = places[part.first_field - 1] + part.first_byte - 1 if part.first_field <= len(fields) else len(key)
    if begin >= len(key):
        return None
    end = len(key)
    if part.last_field and part.last_field <= len(fields):
        last = part.last_field - 1
        end = min(end, places[last] + (part.last_byte or len(fields[last])))
    return key[begin:end]


def _java_hash(content: bytes, result: int) -> int:
    for byte in content:
        result = (31 * result + (byte - 256 if byte > 127 else byte)) % (1 << 32)
    return result


def batches(pairs: list[Pair], size: int) -> list[PairBatch]:
    """Batches of `size` pairs; every second one is a slice of a longer batch, so offsets do not start at 0."""
    found = []
    for start in range(0, len(pairs), size):
        part = pairs[start : start + size]
        if start // size % 2:
            found.append(PairBatch.from_pairs([(b"before", b"it"), *part, (b"", b"behind")]).slice(1, len(part) + 1))
        else:
            found.append(PairBatch.from_pairs(part))
    return found


async def streamed(items: Iterable[PairBatch]) -> AsyncIterator[PairBatch]:
    for item in items:
        yield item


def store_at(place: Path | MapOutputStore) -> MapOutputStore:
    return VolumeStore(place) if isinstance(place, Path) else place


async def write_map_output(
    place: Path | MapOutputStore,
    number: int,
    pairs: list[Pair],
    partitions: int,
    *,
    budget_bytes: int = 1 << 20,
    partitioner: str = "hash",
    splitters: Sequence[bytes] = (),
    rules: KeyRules = PLAIN,
    combiner: Combiner | None = None,
    batch_size: int = 100,
) -> tuple[MapOutputRef, MapOutputSummary]:
    path = f"job/m-{number}/0"
    store = store_at(place)
    writer = MapOutputWriter(
        store.directory(path),
        partitions,
        rules.partitioner(partitioner, splitters),
        budget_bytes,
        rules.combiner(combiner),
        store.space(),
    )
    try:
        for batch in batches(pairs, batch_size):
            await writer.add(rules.order.add_prefixes(batch) if rules.order else batch)
        summary = await writer.finish()
        await store.publish(path)
    except BaseException:
        await writer.abort()
        raise
    return MapOutputRef(f"m-{number}", f"m-{number}-0", path), summary


async def read_partition(
    outputs: list[MapOutputRef],
    place: Path | MapOutputStore,
    partition: int,
    *,
    budget_bytes: int = 1 << 20,
    rules: KeyRules = PLAIN,
    patience_s: float = 0,
    scratch: Path | None = None,
    scratch_limit_bytes: int = sys.maxsize,
) -> list[Pair]:
    pairs: list[Pair] = []
    source = merged(
        outputs,
        store_at(place),
        partition,
        budget_bytes,
        patience_s=patience_s,
        scratch=scratch,
        scratch_limit_bytes=scratch_limit_bytes,
    )
    async for batch in rules.restored(source):
        pairs += batch.to_pairs()
    return pairs


async def collected(source: AsyncIterator[PairBatch]) -> list[Pair]:
    return [pair async for batch in source for pair in batch.to_pairs()]


def groups_of(batch: GroupBatch) -> list[tuple[bytes, list[bytes]]]:
    keys = _items(batch.key_offsets, batch.key_bytes)
    values = _items(batch.value_offsets, batch.value_bytes)
    found = []
    for key, count in zip(keys, batch.value_counts.tolist(), strict=True):
        found.append((key, values[:count]))
        values = values[count:]
    assert not values
    return found


def _items(offsets, content) -> list[bytes]:
    raw, bounds = content.tobytes(), offsets.tolist()
    return [raw[start:stop] for start, stop in pairwise(bounds)]
