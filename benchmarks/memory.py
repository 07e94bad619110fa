"""Peak memory of one worker over a job, beside the memory budget of its attempts."""

import sys
import tempfile
from pathlib import Path

from apollo_client.cli.demo import PROGRAM
from apollo_common.units import format_size
from benchmarks.contenders import BENCH, WORKERS
from benchmarks.corpus import write_corpus
from benchmarks.measure import measure
from benchmarks.report import Result, machine, save

BUDGET_BYTES = 256 << 20
ALLOWANCE_BYTES = 150 << 20


def run(*, size_bytes: int, results_folder: Path) -> None:
    """Word count without a combiner, so that every pair is shuffled; print and save what the largest worker took."""
    text = write_corpus(BENCH / f"text-{size_bytes}.txt", size_bytes)
    with tempfile.TemporaryDirectory(prefix="apollo-bench-", dir=BENCH) as folder:
        measurement = measure(
            [
                sys.executable, "-m", "apollo_client", "run", "--mapper", str(PROGRAM), "--reducer", "builtin:sum",
                "--memory-budget", str(BUDGET_BYTES), "--reducers", "4", "--workers", str(WORKERS),
                "--split-size", str(size_bytes // WORKERS), "--input", str(text), "--output", f"{folder}/out",
            ]
        )  # fmt: skip
    table = "\n".join(
        [
            f"## Memory of a worker, word count of {format_size(size_bytes)} without a combiner",
            "",
            f"{machine()}. {measurement.wall_seconds:.1f} s.",
            "",
            "| | MiB |",
            "| --- | --: |",
            f"| budget of an attempt | {BUDGET_BYTES >> 20} |",
            f"| budget and allowance | {(BUDGET_BYTES + ALLOWANCE_BYTES) >> 20} |",
            f"| peak of the largest worker | {measurement.worker_peak_bytes >> 20} |",
        ]
    )
    result = Result("apollo-python", (measurement,))
    path = save(results_folder, "memory", table, [result], size_bytes=size_bytes, budget_bytes=BUDGET_BYTES)
    print(f"{table}\n\nSaved as {path} and .json")
