"""Plots of results as PNG, by matplotlib in an environment of its own."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.contenders import PROGRAMS, NotAvailable, environment_of
from benchmarks.report import Result, machine


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    value: float
    text: str
    kind: str  # of benchmarks/programs/draw.py: ours, peer or missed


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    unit: str
    bars: Sequence[Bar]
    mark: float | None = None  # a line across the bars
    log: bool = False


def wall_panel(title: str, results: Sequence[Result]) -> Panel:
    """The seconds of each contender, Apollo's in a colour of its own."""
    bars = [
        Bar(result.name, seconds, f"{seconds:.2f}", "ours" if result.name.startswith("apollo") else "peer")
        for result in results
        if result.runs
        for seconds in [result.median("wall_seconds")]
    ]
    return Panel(title, "seconds, less is better", bars)


def draw(path: Path, title: str, panels: Sequence[Panel], *, date: str) -> str:
    """What to tell people of it: the path, or why there is no plot."""
    document = {
        "title": title,
        "note": f"{date}. {machine()}. Medians.",
        "panels": [
            asdict(panel) | {"bars": [(bar.name, bar.value, bar.text, bar.kind) for bar in panel.bars]}
            for panel in panels
            if panel.bars
        ],
    }
    try:
        command = [environment_of("plot"), PROGRAMS / "draw.py", path]
    except NotAvailable as error:
        return f"No plot: {error}"
    done = subprocess.run([*map(str, command)], input=json.dumps(document), text=True, capture_output=True, check=False)
    if done.returncode != 0:
        return f"No plot: {' '.join(done.stderr.split())[-200:]}"
    return f"Plot: {path}"
