"""`./dev bench`: which benchmark to run, on how much."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from apollo_common.units import parse_size_bytes
from benchmarks import (
    coordinator,
    core,
    formats,
    intermediate,
    memory,
    skew,
    slowdown,
    smallest,
    targets,
    terasort,
    wordcount,
)

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Benchmark:
    says: str
    run: Callable[..., None]
    takes: tuple[str, ...] = ("runs", "quick")  # options, beside the folder of results
    size_bytes: int = 0  # by default, and with --quick; 0: it has none
    quick_size_bytes: int = 0


BENCHMARKS: Mapping[str, Benchmark] = {
    "wordcount": Benchmark(
        "Apollo beside its peers on the same text (the default)",
        wordcount.run, ("names", "runs", "quick"), 512 << 20, 1 << 20,
    ),
    "terasort": Benchmark(
        "rows of 100 bytes sorted, beside GNU sort and Spark SQL",
        terasort.run, ("runs", "quick"), 1_000_000_000, 1_000_000,
    ),
    "smallest": Benchmark("the smallest job beside its peers: what starting costs", smallest.run),
    "targets": Benchmark(
        "all of Apollo's targets: runs those three, core, coordinator and memory",
        targets.run, ("runs", "quick", "saved"),
    ),
    "memory": Benchmark("peak memory of a worker, and of the coordinator", memory.run, (), 512 << 20, 8 << 20),
    "skew": Benchmark(
        "peak memory of workers on skewed and large inputs, with every result checked", skew.run, ("cases", "quick")
    ),
    "core": Benchmark("the scheduling core alone, up to 100,000 tasks on 10,000 workers", core.run),
    "slowdown": Benchmark("what lost and slow workers cost a job", slowdown.run),
    "intermediate": Benchmark(
        "a sort with its map outputs on a volume and in a bucket", intermediate.run, ("runs",), 96 << 20, 1 << 20
    ),
    "formats": Benchmark(
        "how fast a worker cuts records of each input format", formats.run, ("runs",), 32 << 20, 1 << 20
    ),
    "coordinator": Benchmark(
        "a coordinator on one processor, with 500 workers over gRPC that do no work", coordinator.run
    ),
}  # fmt: skip


def main() -> None:
    options = arguments().parse_args()
    benchmark = BENCHMARKS[options.benchmark]
    given = {name: getattr(options, name) for name in benchmark.takes}
    if benchmark.size_bytes:
        default_bytes = benchmark.quick_size_bytes if options.quick else benchmark.size_bytes
        given["size_bytes"] = options.size or default_bytes
    benchmark.run(**given, results_folder=options.results)


def arguments() -> argparse.ArgumentParser:
    what = "; ".join(f"{name}: {benchmark.says}" for name, benchmark in BENCHMARKS.items())
    parser = argparse.ArgumentParser(prog="./dev bench", description=f"Measure Apollo. {what}.")
    parser.add_argument("benchmark", nargs="?", choices=[*BENCHMARKS], default="wordcount")
    parser.add_argument(
        "--size", type=parse_size_bytes,
        help="input  [wordcount, memory: 512MiB, terasort: 1 GB, intermediate: 96MiB, formats: 32MiB]",
    )  # fmt: skip
    parser.add_argument("--runs", type=int, default=3, help="of each contender or size, in turns  [3]")
    parser.add_argument("--quick", action="store_true", help="too small to say anything: does it run?")
    parser.add_argument(
        "--contenders", dest="names", nargs="+", choices=wordcount.NAMES, default=wordcount.NAMES, metavar="NAME",
        help=f"of the word count, any of {', '.join(wordcount.NAMES)}",
    )  # fmt: skip
    parser.add_argument(
        "--case", dest="cases", nargs="+", choices=skew.NAMES, default=skew.NAMES, metavar="NAME",
        help=f"of skew, any of {', '.join(skew.NAMES)}",
    )  # fmt: skip
    parser.add_argument(
        "--saved", action="store_true", help="targets: take the newest results that lie there, measure what has none"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the tables")
    return parser


if __name__ == "__main__":
    main()
