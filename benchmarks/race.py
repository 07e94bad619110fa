"""A race: the same input for every contender, by turns, and no figure for a wrong result."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.contenders import BENCH, Contender, NotAvailable, Preparation
from benchmarks.measure import CommandFailed, Measurement, measure
from benchmarks.plot import draw, wall_panel
from benchmarks.report import Result, comparison, save

FAILURE_CHARACTERS = 200
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Race:
    """The first contender is the baseline: its output is right, its time the unit of the ratios."""

    name: str
    title: str
    source: Path
    contenders: Mapping[str, Preparation]
    runs: int
    in_order: bool  # whether the output's lines have one right order

    @property
    def baseline(self) -> str:
        return next(iter(self.contenders))


def left_out(why: str) -> Preparation:
    """Stands for a contender that is named in the table, but does not run."""

    def refuse() -> Contender:
        raise NotAvailable(why)

    return refuse


def run_races(name: str, title: str, races: Sequence[Race], *, results_folder: Path) -> None:
    """Print and save NAME's tables and plot."""
    tables, panels, documents = [], [], []
    for race in races:
        results = run_race(race)
        size_bytes = race.source.stat().st_size
        tables.append(comparison(race.title, results, baseline=race.baseline, size_bytes=size_bytes))
        panels.append(wall_panel(race.title, results))
        documents.append(
            {
                "name": race.name,
                "title": race.title,
                "size_bytes": size_bytes,
                "baseline": race.baseline,
                "results": [asdict(result) for result in results],
            }
        )
    text = "\n\n".join(tables)
    path = save(results_folder, name, text, races=documents)
    plot = draw(path.with_suffix(".png"), title, panels, date=f"{datetime.now(UTC):%Y-%m-%d}")
    print(f"\n{text}\n\nSaved as {path} and .json. {plot}")


def run_race(race: Race) -> list[Result]:
    """Measure in turns, so that a slow minute of the machine is everybody's."""
    ready, failures = _prepare(race.contenders)
    measured: dict[str, list[Measurement]] = {name: [] for name in ready}
    read_once(race.source)
    with tempfile.TemporaryDirectory(prefix="apollo-bench-", dir=BENCH) as folder:
        wanted = ""
        for turn in range(race.runs):
            for name, contender in list(ready.items()):
                try:
                    measurement, digest = _run_once(contender, race, Path(folder))
                    if name == race.baseline:  # it comes first
                        wanted = wanted or digest
                    _compare(digest, wanted, race.baseline)
                except CommandFailed as error:
                    failures[name] = " ".join(str(error).split())[-FAILURE_CHARACTERS:]
                    print(f"  {race.name}: {name}: {failures[name]}", flush=True)
                    del ready[name]
                    continue
                measured[name].append(measurement)
                seconds = f"{measurement.wall_seconds:.2f} s"
                print(f"  {race.name}, run {turn + 1} of {race.runs}: {name}: {seconds}", flush=True)
    return [
        Result(name, ready[name].version, tuple(measured[name]))
        if name in ready
        else Result(name, "", (), failures[name])
        for name in race.contenders
    ]


def read_once(source: Path) -> None:
    """So that the file is in memory for the first contender, too."""
    for _ in _blocks(source):
        pass


def _prepare(contenders: Mapping[str, Preparation]) -> tuple[dict[str, Contender], dict[str, str]]:
    ready, failures = {}, {}
    BENCH.mkdir(exist_ok=True)
    for name, prepare in contenders.items():
        try:
            ready[name] = prepare()
        except NotAvailable as error:
            failures[name] = str(error)
    return ready, failures


def _run_once(contender: Contender, race: Race, folder: Path) -> tuple[Measurement, str]:
    """The measurement, and a digest of the output. CommandFailed."""
    target, seconds = folder / "out", folder / "seconds"
    os.sync()  # what the one before has written is not written at this one's cost
    try:
        measurement = measure(contender.command(race.source, target, seconds), env=contender.environment)
        if contender.times_itself:
            measurement = replace(measurement, job_seconds=float(seconds.read_text()))
        return measurement, _digest(target, in_order=race.in_order)
    finally:
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        seconds.unlink(missing_ok=True)


def _compare(digest: str, wanted: str, baseline: str) -> None:
    """CommandFailed unless they are the same; `wanted` is empty when the baseline has failed."""
    if not wanted:
        raise CommandFailed(f"there is no result of {baseline} to compare its own with")
    if digest != wanted:
        raise CommandFailed(f"its result is not that of {baseline}")


def _digest(target: Path, *, in_order: bool) -> str:
    """CommandFailed when there is no output."""
    parts = [target] if target.is_file() else sorted(target.glob("part-*"))
    if not parts:
        raise CommandFailed("it wrote no output")
    digest = hashlib.sha256()
    for part in parts if in_order else [_sorted(parts, target.with_name("sorted"))]:
        for block in _blocks(part):
            digest.update(block)
    return digest.hexdigest()


def _sorted(parts: list[Path], into: Path) -> Path:
    subprocess.run(["sort", "-o", into, "--", *parts], env=os.environ | {"LC_ALL": "C"}, check=True)
    return into


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block
