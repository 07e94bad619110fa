"""Peak memory of workers, beside their budget, on inputs that are skewed or large; every result is checked."""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import CalledProcessError

from benchmarks.contenders import BENCH, WORKERS
from benchmarks.measure import CommandFailed, Measurement, measure
from benchmarks.memory import ALLOWANCE_BYTES
from benchmarks.report import MIB, Table, save_table
from benchmarks.skew_cases import IDENTITY, Case, WrongResult, all_cases, build_identity, check

NAMES = tuple(case.name for case in all_cases(quick=True))
COLUMNS = (
    "case",
    "what",
    "budget MiB",
    "with allowance",
    "worker MiB",
    "coordinator MiB",
    "spilled MiB",
    "s",
    "result",
)


@dataclass(frozen=True, slots=True)
class Run:
    """A case's measurement, and the bytes of the sorted runs that its maps wrote.

    `failure` says what was wrong with the job, its result or its memory.
    """

    case: Case
    measurement: Measurement | None = None
    spilled_bytes: int = 0
    failure: str = ""


def run(*, cases: Sequence[str], quick: bool, results_folder: Path) -> None:
    """Print and save a table. SystemExit when a result is wrong or a worker took more than its allowance."""
    BENCH.mkdir(exist_ok=True)
    runs = []
    for case in all_cases(quick=quick):
        if case.name in cases:
            print(f"  {case.name}: {case.what}", flush=True)
            with tempfile.TemporaryDirectory(prefix="apollo-skew-", dir=BENCH) as folder:
                runs.append(_run(case, Path(folder)))
    note = (
        f"Memory is the budget of an attempt, budget and allowance, and the peaks of the largest of {WORKERS} workers "
        "and of the command with its coordinator."
    )
    table = Table("Skewed and large inputs", note, COLUMNS, [_row(each) for each in runs])
    path = save_table(
        results_folder,
        "skew",
        table,
        quick=quick,
        allowance_bytes=ALLOWANCE_BYTES,
        runs=[_facts(each) for each in runs],
    )
    print(f"{table.markdown()}\n\nSaved as {path} and .json\n")
    if failures := [each.failure for each in runs if each.failure]:
        sys.exit("\n".join(failures))


def _run(case: Case, folder: Path) -> Run:
    if IDENTITY in case.options.split():
        build_identity(folder)
    case.write(folder / "in")
    command = [
        sys.executable, "-m", "apollo_client", "run", *case.options.split(), "--memory-budget", str(case.budget_bytes),
        "--workers", str(WORKERS), "--input", "in", "--output", "out",
    ]  # fmt: skip
    try:
        measurement = measure(command, cwd=folder)
    except CommandFailed as error:
        return Run(case, failure=f"{case.name}: {error}")
    counters = json.loads((folder / "out/_SUCCESS").read_bytes())["counters"]["apollo"]
    try:
        check(case, folder)
        failure = over_allowance(case, measurement)
    except (WrongResult, CalledProcessError) as error:
        failure = str(error)
    return Run(case, measurement, counters["shuffle_bytes"], failure)


def over_allowance(case: Case, measurement: Measurement) -> str:
    """What is wrong with a worker's memory; empty when nothing is."""
    peak_bytes, limit_bytes = measurement.worker_peak_bytes, case.budget_bytes + ALLOWANCE_BYTES
    if 0 < peak_bytes <= limit_bytes:
        return ""
    return (
        f"{case.name}: a worker took {peak_bytes // MIB} MiB, with a budget and allowance of {limit_bytes // MIB} MiB"
    )


def _row(done: Run) -> Sequence[object]:
    case, measurement = done.case, done.measurement
    limits = case.budget_bytes // MIB, (case.budget_bytes + ALLOWANCE_BYTES) // MIB
    if measurement is None:
        return case.name, case.what, *limits, "", "", "", "", "the job failed"
    return (
        case.name,
        case.what,
        *limits,
        measurement.worker_peak_bytes // MIB,
        measurement.command_peak_bytes // MIB,
        done.spilled_bytes // MIB,
        f"{measurement.wall_seconds:.1f}",
        "wrong" if done.failure else "as by sort",
    )


def _facts(done: Run) -> dict[str, object]:
    measurement = done.measurement and asdict(done.measurement)
    return {
        "case": done.case.name,
        "budget_bytes": done.case.budget_bytes,
        "measurement": measurement,
        "spilled_bytes": done.spilled_bytes,
        "failure": done.failure,
    }
