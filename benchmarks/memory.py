"""Peak memory of one worker over a job, beside the memory budget of its attempts, and of the coordinator.

The coordinator is a part of the process of `apollo run`.
"""

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from apollo_client.cli.demo import PROGRAM
from apollo_common.units import format_size
from benchmarks.contenders import BENCH, WORKERS
from benchmarks.corpus import write_corpus
from benchmarks.measure import Measurement, measure
from benchmarks.report import Table, save_table

BUDGET_BYTES = 256 << 20
ALLOWANCE_BYTES = 150 << 20
SHARE = 8  # of the input, in the smaller job of as many tasks


def run(*, size_bytes: int, results_folder: Path) -> None:
    """Word count without a combiner, so that every pair is shuffled; print and save what the largest worker took."""
    sizes = (size_bytes // SHARE, size_bytes)
    measured = {size: _measure(size) for size in sizes}
    table = Table(
        "Peak memory, word count without a combiner",
        f"{WORKERS} maps and 4 reduces; MiB. A worker may take the budget of an attempt and "
        f"{ALLOWANCE_BYTES >> 20} MiB: {(BUDGET_BYTES + ALLOWANCE_BYTES) >> 20}. The coordinator's must not grow with "
        "the bytes.",
        ("input", "s", "budget of an attempt", "largest worker", "`apollo run` with the coordinator"),
        [
            (
                format_size(size), f"{one.wall_seconds:.1f}", BUDGET_BYTES >> 20, one.worker_peak_bytes >> 20,
                one.command_peak_bytes >> 20,
            )
            for size, one in measured.items()
        ],
    )  # fmt: skip
    runs = [{"size_bytes": size, **asdict(one)} for size, one in measured.items()]
    facts = {"budget_bytes": BUDGET_BYTES, "allowance_bytes": ALLOWANCE_BYTES, "runs": runs}
    path = save_table(results_folder, "memory", table, **facts)
    print(f"{table.markdown()}\n\nSaved as {path} and .json")


def _measure(size_bytes: int) -> Measurement:
    text = write_corpus(BENCH / f"text-utf8-{size_bytes}.txt", size_bytes)
    with tempfile.TemporaryDirectory(prefix="apollo-bench-", dir=BENCH) as folder:
        return measure(
            [
                sys.executable, "-m", "apollo_client", "run", "--mapper", str(PROGRAM), "--reducer", "builtin:sum",
                "--memory-budget", str(BUDGET_BYTES), "--reducers", "4", "--workers", str(WORKERS),
                "--split-size", str(size_bytes // WORKERS), "--input", str(text), "--output", f"{folder}/out",
            ]
        )  # fmt: skip
