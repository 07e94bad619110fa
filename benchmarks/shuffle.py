"""How fast the worker's shuffle is, and how much memory it takes, without programs, sockets or the coordinator.

Each measurement runs in a process of its own, whose peak memory is what the system says of it:

    map      pairs -> partitioned, sorted, spilled, indexed and fsynced map outputs
    reduce   all partitions of those map outputs -> merged and grouped

Shapes: `terasort` (10-byte random keys, 90-byte values), `words` (Zipf-distributed words, value "1"), `visits` (keys of
a user and a time, 80-byte values). With `--key-order` each measurement is made in the order of the keys' bytes and in
that one, by turns.

    python benchmarks/shuffle.py --shape terasort --records 10_000_000
    python benchmarks/shuffle.py --shape visits --records 2_000_000 --partitioner field:1 --key-order '-k1,1 -k2,2n'
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apollo_common.assignment import MapOutputRef
from apollo_proto.apollo import v1
from apollo_worker.core.binary import binary_array, binary_columns
from apollo_worker.core.columns import PairBatch
from apollo_worker.memory import return_memory_early
from apollo_worker.shuffle.builtins import builtin
from apollo_worker.shuffle.group import grouped
from apollo_worker.shuffle.key_rules import KeyRules, key_rules
from apollo_worker.shuffle.map_output import MapOutputWriter
from apollo_worker.shuffle.merge import merged
from apollo_worker.shuffle.volume_store import VolumeStore

SEED = 20261122
VOCABULARY = 500_000
BATCH_BYTES = 1 << 20
WARM_UP_RECORDS = 50_000


def terasort_batches(records: int, seed: int) -> Iterator[PairBatch]:
    random = np.random.default_rng(seed)
    size = BATCH_BYTES // 100
    values = np.frombuffer(random.bytes(size * 90), np.uint8)
    for start in range(0, records, size):
        rows = min(size, records - start)
        keys = np.frombuffer(random.bytes(rows * 10), np.uint8)
        offsets = np.arange(rows + 1, dtype=np.int32)
        yield PairBatch(offsets * np.int32(10), keys, offsets * np.int32(90), values)


def word_batches(records: int, seed: int) -> Iterator[PairBatch]:
    random = np.random.default_rng(SEED)
    offsets = np.append(0, np.cumsum(random.integers(2, 14, VOCABULARY))).astype(np.int32)
    words = binary_array(offsets, random.integers(ord("a"), ord("z") + 1, offsets[-1], np.uint8))
    shares = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    random = np.random.default_rng(seed)
    size = BATCH_BYTES // 8
    ones = np.full(size, ord("1"), np.uint8)
    for start in range(0, records, size):
        rows = min(size, records - start)
        ranks = np.searchsorted(shares, random.random(rows) * shares[-1])
        yield PairBatch(*binary_columns(words.take(pa.array(ranks))), np.arange(rows + 1, dtype=np.int32), ones)


def visit_batches(records: int, seed: int) -> Iterator[PairBatch]:
    random = np.random.default_rng(seed)
    size = BATCH_BYTES // 100
    values = np.frombuffer(random.bytes(size * 80), np.uint8)
    for start in range(0, records, size):
        rows = min(size, records - start)
        users = pa.array(random.integers(10_000, 20_000, rows)).cast(pa.string()).cast(pa.binary())
        times = pa.array(random.integers(1_600_000_000, 1_700_000_000, rows)).cast(pa.string()).cast(pa.binary())
        keys = pc.binary_join_element_wise(b"user", users, b"")
        keys = pc.binary_join_element_wise(keys, times, b"\t")
        yield PairBatch(*binary_columns(keys), np.arange(rows + 1, dtype=np.int32) * np.int32(80), values)


SHAPES = {"terasort": terasort_batches, "words": word_batches, "visits": visit_batches}


async def write(options: argparse.Namespace, number: int, records: int, directory: Path) -> tuple[int, float]:
    """One map output. Seconds count the shuffle only, not the making of pairs."""
    combiner = builtin(options.combiner, "combine") if options.combiner else None
    rules = rules_of(options)
    partitioner = rules.partitioner(options.partitioner)
    size_bytes, seconds = 0, 0.0
    started = time.perf_counter()
    writer = MapOutputWriter(directory, options.partitions, partitioner, options.budget << 20, rules.combiner(combiner))
    seconds += time.perf_counter() - started
    for batch in SHAPES[options.shape](records, SEED + number):
        started = time.perf_counter()
        await writer.add(rules.order.add_prefixes(batch) if rules.order else batch)
        seconds += time.perf_counter() - started
        size_bytes += batch.size_bytes
    started = time.perf_counter()
    await writer.finish()
    return size_bytes, seconds + time.perf_counter() - started


async def measure_map(options: argparse.Namespace, volume: Path) -> tuple[int, float]:
    await write(options, 0, WARM_UP_RECORDS, volume / "warm-up")
    totals = [
        await write(options, number, options.records // options.maps, volume / f"{number}")
        for number in range(options.maps)
    ]
    return sum(size for size, _ in totals), sum(seconds for _, seconds in totals)


async def measure_reduce(options: argparse.Namespace, volume: Path) -> tuple[int, float]:
    outputs = [MapOutputRef(f"{number}", f"{number}-0", f"{number}") for number in range(options.maps)]
    warm_up = [MapOutputRef("warm-up", "warm-up-0", "warm-up")]
    await read(options, warm_up, volume, 0)
    started = time.perf_counter()
    size_bytes = sum([await read(options, outputs, volume, partition) for partition in range(options.partitions)])
    return size_bytes, time.perf_counter() - started


async def read(options: argparse.Namespace, outputs: list[MapOutputRef], volume: Path, partition: int) -> int:
    size_bytes = 0
    async with aclosing(merged(outputs, VolumeStore(volume), partition, options.budget << 20, scratch=volume)) as pairs:
        async for batch in grouped(rules_of(options).restored(pairs)):
            size_bytes += int(batch.value_offsets[-1] - batch.value_offsets[0])
            size_bytes += int(np.dot(np.diff(batch.key_offsets), batch.value_counts))
    return size_bytes


def rules_of(options: argparse.Namespace) -> KeyRules:
    return key_rules(v1.KeyRules(order=options.key_order))


def child(options: argparse.Namespace) -> None:
    return_memory_early()
    measure = {"map": measure_map, "reduce": measure_reduce}[options.child]
    size_bytes, seconds = asyncio.run(measure(options, Path(options.volume)))
    print(json.dumps({"bytes": size_bytes, "seconds": seconds, "peak_mib": peak_mib()}))


def peak_mib() -> float:
    """Of this process since it was executed; getrusage would also count the process that forked it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def run(side: str, order: str, volume: Path) -> dict[str, float]:
    command = [sys.executable, *sys.argv, f"--key-order={order}", "--child", side, "--volume", str(volume)]
    measured: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return measured


def main() -> None:
    options = arguments().parse_args()
    if options.child:
        child(options)
        return
    orders = tuple(dict.fromkeys(("", options.key_order)))
    results: dict[tuple[str, str], list[dict[str, float]]] = {
        (order, side): [] for order in orders for side in ("map", "reduce")
    }
    for _ in range(options.runs):
        for order in orders:
            volume = Path(tempfile.mkdtemp(prefix="apollo-shuffle-", dir=options.directory))
            try:
                for side in ("map", "reduce"):
                    results[order, side].append(run(side, order, volume))
            finally:
                shutil.rmtree(volume)
    print(f"{options.shape}, {options.records:,} records, {options.maps} maps, R = {options.partitions}, ", end="")
    print(f"budget {options.budget} MiB, median of {options.runs}")
    print(f"{'side':8}{'MB/s':>8}{'M records/s':>14}{'seconds':>10}{'peak MiB':>10}  order")
    for (order, side), found in results.items():
        seconds = statistics.median(one["seconds"] for one in found)
        peak = max(one["peak_mib"] for one in found)
        speed, rows = found[0]["bytes"] / seconds / 1e6, options.records / seconds / 1e6
        print(f"{side:8}{speed:8.0f}{rows:14.1f}{seconds:10.2f}{peak:10.0f}  {order or 'of bytes'}")


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="terasort")
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--maps", type=int, default=4)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--partitioner", default="hash")
    parser.add_argument("--key-order", default="", help="for example '-k1,1 -k2,2n'")
    parser.add_argument("--combiner", default="", help="for example builtin:sum")
    parser.add_argument("--budget", type=int, default=256, help="MiB")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument(
        "--directory", type=Path, help="where map outputs are written (default: the temporary directory)"
    )
    parser.add_argument("--child", choices=("map", "reduce"), help=argparse.SUPPRESS)
    parser.add_argument("--volume", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
