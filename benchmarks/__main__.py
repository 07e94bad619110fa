"""`./dev bench`: which benchmark to run, on how much."""

import argparse
from pathlib import Path

from apollo_common.units import parse_size_bytes
from benchmarks import memory, wordcount
from benchmarks.contenders import contenders

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure Apollo beside its peers.")
    parser.add_argument("benchmark", nargs="?", choices=["wordcount", "memory"], default="wordcount")
    parser.add_argument("--size", type=parse_size_bytes, help="input  [wordcount: 128MiB, memory: 512MiB]")
    parser.add_argument("--runs", type=int, default=3, help="of each contender, in turns  [3]")
    parser.add_argument("--contenders", nargs="+", choices=[*contenders()], default=[*contenders()], metavar="NAME",
                        help=f"any of {', '.join(contenders())}")  # fmt: skip
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the tables")
    options = parser.parse_args()
    if options.benchmark == "wordcount":
        wordcount.run(
            options.contenders,
            size_bytes=options.size or 128 << 20,
            runs=options.runs,
            results_folder=options.results,
        )
    else:
        memory.run(size_bytes=options.size or 512 << 20, results_folder=options.results)


main()
