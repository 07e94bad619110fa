"""Play many seeds in several processes. Tells the rate, the faults played, how jobs ended, the seeds that fail, and
what never happened though it should (with many seeds a failure, too)."""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from simulation.parts import PARTS, try_seed
from simulation.report import Report

SHOWN_FAILURES = 5
ENOUGH_SEEDS = 500
"""With so many, what never happened is a defect of the simulation."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev sim", description=__doc__)
    fewer = ", ".join(f"of {name} one for every {part.weight}" for name, part in PARTS.items() if part.weight > 1)
    parser.add_argument("--seeds", type=int, default=200, help=f"how many, of each part; {fewer} (default: 200)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument(
        "--part", choices=sorted(PARTS), action="append", help="only this one; may be repeated (default: all)"
    )
    arguments = parser.parse_args()
    sound = True
    with ProcessPoolExecutor(os.process_cpu_count() if sys.version_info >= (3, 13) else os.cpu_count()) as processes:
        for part in arguments.part or PARTS:
            count = max(1, arguments.seeds // PARTS[part].weight)
            sound &= play(processes, part, range(arguments.first, arguments.first + count))
    return 0 if sound else 1


def play(processes: ProcessPoolExecutor, part: str, seeds: Sequence[int]) -> bool:
    began = time.monotonic()
    total = Report()
    failures: dict[int, str] = {}
    chunk = max(1, min(10, len(seeds) // 8))
    for seed, told in zip(seeds, processes.map(try_seed, [part] * len(seeds), seeds, chunksize=chunk), strict=True):
        if isinstance(told, Report):
            total.add(told)
        else:
            failures[seed] = told
    seconds = time.monotonic() - began
    say(f"{part}: {len(seeds)} seeds in {seconds:.0f} s, {len(seeds) / seconds:.1f} a second, {len(failures)} failed")
    tabulate("faults", total.faults)
    tabulate("jobs", total.ends)
    tabulate("seen", total.seen)
    missing = PARTS[part].missing(total)
    if missing:
        say(f"  never: {', '.join(missing)}")
    for seed, failure in list(failures.items())[:SHOWN_FAILURES]:
        again = f"./dev sim --part {part} --seeds 1 --first {seed}"
        keep = f'Kept("{part}", {seed}, "what it found") in tests/simulation/kept_seeds.py'
        say(f"\n{failure}again: {again}\nkeep:  {keep}\n")
    return not failures and not (missing and len(seeds) >= ENOUGH_SEEDS)


def tabulate(title: str, counts: Counter[str]) -> None:
    say(f"  {title}")
    for name, count in counts.most_common():
        say(f"    {count:>9,}  {name}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
