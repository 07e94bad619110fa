"""`./dev sim`: many seeds, several processes. Prints the seeds that fail and how to run one again."""

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from simulation import core_run, engine_run
from support.quiet import quiet_logs

RUNS: dict[str, Callable[[int], str]] = {"core": core_run.run, "engine": engine_run.run}
SHOWN_FAILURES = 5


def try_seed(part: str, seed: int) -> str | None:
    """The failure's traceback, or None."""
    try:
        with quiet_logs():
            RUNS[part](seed)
    except Exception:  # noqa: BLE001 - whatever broke is what the simulation looks for
        return traceback.format_exc(limit=-8)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many, of each part")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--part", choices=sorted(RUNS), action="append", help="core, engine (default: both)")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    failed = 0
    with ProcessPoolExecutor(os.process_cpu_count() if sys.version_info >= (3, 13) else os.cpu_count()) as processes:
        for part in arguments.part or sorted(RUNS):
            began = time.monotonic()
            failures = list(zip(seeds, processes.map(try_seed, [part] * len(seeds), seeds, chunksize=10), strict=True))
            broken = [(seed, failure) for seed, failure in failures if failure]
            failed += len(broken)
            rate = len(seeds) / (time.monotonic() - began)
            sys.stdout.write(f"{part}: {len(seeds)} seeds, {len(broken)} failed, {rate:.0f} seeds/s\n")
            for seed, failure in broken[:SHOWN_FAILURES]:
                sys.stdout.write(f"\n{failure}again: ./dev sim --part {part} --seeds 1 --first {seed}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
