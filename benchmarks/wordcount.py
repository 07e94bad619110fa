"""Word count of real text, side by side; every result is compared with that of coreutils, byte by byte."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from apollo_common.units import format_size
from benchmarks.contenders import BENCH, Contender, NotAvailable, contenders
from benchmarks.corpus import write_corpus
from benchmarks.measure import CommandFailed, Measurement, measure
from benchmarks.report import Result, comparison, save

BASELINE = "coreutils"


def run(names: Sequence[str], *, size_bytes: int, runs: int, results_folder: Path) -> None:
    """Measure in turns, so that a slow minute of the machine is everybody's; print and save the table."""
    text = write_corpus(BENCH / f"text-{size_bytes}.txt", size_bytes)
    ready, failures = _prepare(dict.fromkeys((BASELINE, *names)))
    measured: dict[str, list[Measurement]] = {name: [] for name in ready}
    with tempfile.TemporaryDirectory(prefix="apollo-bench-", dir=BENCH) as folder:
        wanted = b""
        for turn in range(runs):
            for name, contender in list(ready.items()):
                try:
                    measurement, found = _run_once(contender, text, Path(folder) / "out")
                except CommandFailed as error:
                    failures[name] = str(error).replace("\n", " ")[-200:]
                    del ready[name]
                    continue
                wanted = wanted or found  # the baseline comes first
                if found != wanted:
                    failures[name] = f"its result is not that of {BASELINE}"
                    del ready[name]
                    continue
                measured[name].append(measurement)
                print(f"  run {turn + 1} of {runs}: {name}: {measurement.wall_seconds:.2f} s", flush=True)
    results = [
        Result(name, () if name in failures else tuple(measured[name]), failures.get(name, ""))
        for name in dict.fromkeys((BASELINE, *names))
    ]
    table = comparison(f"Word count, {format_size(size_bytes)} of text", results, baseline=BASELINE)
    path = save(results_folder, "wordcount", table, results, size_bytes=size_bytes)
    print(f"\n{table}\n\nSaved as {path} and .json")


def _prepare(names: dict[str, None]) -> tuple[dict[str, Contender], dict[str, str]]:
    ready, failures = {}, {}
    for name in names:
        try:
            ready[name] = contenders()[name]()
        except NotAvailable as error:
            failures[name] = str(error)
    return ready, failures


def _run_once(contender: Contender, text: Path, target: Path) -> tuple[Measurement, bytes]:
    """The measurement, and the output as sorted lines."""
    try:
        measurement = measure(contender.command(text, target), env=contender.environment)
        files = [target] if target.is_file() else sorted(target.glob("part-*"))
        return measurement, b"".join(sorted(b"".join(file.read_bytes() for file in files).splitlines(keepends=True)))
    finally:
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
