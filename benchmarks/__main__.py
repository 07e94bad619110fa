"""`./dev bench`: which benchmark to run, on how much."""

import argparse
from pathlib import Path

from apollo_common.units import parse_size_bytes
from benchmarks import coordinator, core, formats, intermediate, memory, slowdown, wordcount
from benchmarks.contenders import contenders

RESULTS = Path(__file__).parent / "results"
BENCHMARKS = {
    "wordcount": "Apollo beside its peers on the same text (the default)",
    "memory": "peak memory of a worker",
    "core": "the scheduling core alone, up to 100,000 tasks on 10,000 workers",
    "slowdown": "what lost and slow workers cost a job",
    "intermediate": "a sort with its map outputs on a volume and in a bucket",
    "formats": "how fast a worker cuts records of each input format",
    "coordinator": "a coordinator on one processor, with 500 workers over gRPC that do no work",
}


def main() -> None:
    what = "; ".join(f"{name}: {text}" for name, text in BENCHMARKS.items())
    parser = argparse.ArgumentParser(prog="./dev bench", description=f"Measure Apollo. {what}.")
    parser.add_argument("benchmark", nargs="?", choices=[*BENCHMARKS], default="wordcount")
    parser.add_argument(
        "--size",
        type=parse_size_bytes,
        help="input  [wordcount: 128MiB, memory: 512MiB, intermediate: 96MiB, formats: 32MiB]",
    )
    parser.add_argument("--runs", type=int, default=3, help="of each contender or size, in turns  [3]")
    parser.add_argument(
        "--quick", action="store_true", help="too small to say anything: does it run?  [all but wordcount, memory]"
    )
    parser.add_argument("--contenders", nargs="+", choices=[*contenders()], default=[*contenders()], metavar="NAME",
                        help=f"any of {', '.join(contenders())}")  # fmt: skip
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the tables")
    options = parser.parse_args()
    match options.benchmark:
        case "wordcount":
            size_bytes = options.size or 128 << 20
            wordcount.run(options.contenders, size_bytes=size_bytes, runs=options.runs, results_folder=options.results)
        case "memory":
            memory.run(size_bytes=options.size or 512 << 20, results_folder=options.results)
        case "slowdown":
            slowdown.run(runs=options.runs, quick=options.quick, results_folder=options.results)
        case "coordinator":
            coordinator.run(runs=options.runs, quick=options.quick, results_folder=options.results)
        case "intermediate":
            size_bytes = options.size or (1 if options.quick else 96) << 20
            intermediate.run(size_bytes=size_bytes, runs=options.runs, results_folder=options.results)
        case "formats":
            size_bytes = options.size or (1 if options.quick else 32) << 20
            formats.run(size_bytes=size_bytes, runs=options.runs, results_folder=options.results)
        case "core":
            core.run(runs=options.runs, quick=options.quick, results_folder=options.results)


if __name__ == "__main__":
    main()
