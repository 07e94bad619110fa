"""Every target in one table: the benchmarks that tell of them are run, each in a process of its own, and read."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.contenders import REPOSITORY
from benchmarks.judge import Line, judge
from benchmarks.plot import Bar, Panel, draw, wall_panel
from benchmarks.report import Table, results_of, write

BENCHMARKS = ("terasort", "wordcount", "smallest", "core", "coordinator", "memory")
RACES = BENCHMARKS[:3]


def run(*, runs: int, quick: bool, saved: bool, results_folder: Path) -> None:
    """Print and save `targets`. `saved`: take the newest results that are there, and measure what has none."""
    documents = {}
    for name in BENCHMARKS:
        if not (saved and any(results_folder.glob(f"{name}-*.json"))):
            _measure(name, runs, quick=quick, results_folder=results_folder)
        path = max(results_folder.glob(f"{name}-*.json"))
        documents[name] = (path.with_suffix(".md").read_text().strip(), json.loads(path.read_text()))
    lines = judge({name: document for name, (_, document) in documents.items()})
    table = _table(lines)
    text = "\n\n".join([table.markdown(), *(markdown for markdown, _ in documents.values())])
    stem = results_folder / "targets"
    path = write(stem, text, {"targets": [asdict(line) for line in lines]})
    dates = sorted({str(document["date"]) for _, document in documents.values()})
    panels = _panels(lines, [documents[name][1] for name in RACES])
    plot = draw(stem.with_suffix(".png"), "Apollo: targets and peers", panels, date=" and ".join(dates))
    print(f"\n{text}\n\nSaved as {path} and .json. {plot}")


def _measure(name: str, runs: int, *, quick: bool, results_folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        name,
        "--runs",
        str(runs),
        "--results",
        str(results_folder.resolve()),
    ]
    print(f"== {name}", flush=True)
    done = subprocess.run([*command, *(["--quick"] if quick else [])], cwd=REPOSITORY, env=os.environ, check=False)
    if done.returncode != 0:
        raise SystemExit(f"`./dev bench {name}` has failed: why, it says above.")


def _table(lines: Sequence[Line]) -> Table:
    return Table(
        "Targets",
        "`ratio` is how far a target is reached: 1 and more is met.",
        ("work", "target", "measured", "ratio", ""),
        [
            (line.work, line.target, line.measured, "" if line.ratio is None else f"{line.ratio:.2f}", line.verdict)
            for line in lines
        ],
    )


def _panels(lines: Sequence[Line], documents: Sequence[Mapping[str, Any]]) -> list[Panel]:
    told = [line for line in lines if line.ratio is not None]
    bars = [
        Bar(f"{line.work}: {line.target}", line.ratio or 0, f"{line.ratio:.2f}", "ours" if line.is_met else "missed")
        for line in told
    ]
    races = [race for document in documents for race in document["races"]]
    return [
        Panel("How far each target is reached", "1: met", bars, mark=1, log=True),
        *(wall_panel(race["title"], results_of(race)) for race in races),
    ]
