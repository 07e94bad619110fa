"""Tables of results, in Markdown for people and JSON for programs."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Measurement

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Result:
    """What a contender needed, run by run; `failure` says why there is nothing."""

    name: str
    runs: tuple[Measurement, ...] = ()
    failure: str = ""

    def median(self, quantity: str) -> float:
        return float(statistics.median(getattr(run, quantity) for run in self.runs))


def comparison(title: str, results: Sequence[Result], *, baseline: str) -> str:
    """A table of medians; the ratio says how many times the baseline's time a contender takes."""
    base = next((result for result in results if result.name == baseline and result.runs), None)
    lines = [
        f"## {title}",
        "",
        f"{machine()}. Medians; `ratio` is to {baseline}: below 1 is faster.",
        "",
        "| contender | runs | wall s | ratio | CPU s | peak MiB |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for result in results:
        if not result.runs:
            lines.append(f"| {result.name} | 0 | {result.failure} | | | |")
            continue
        wall = result.median("wall_seconds")
        ratio = f"{wall / base.median('wall_seconds'):.2f}" if base else ""
        lines.append(
            f"| {result.name} | {len(result.runs)} | {wall:.2f} | {ratio} | {result.median('cpu_seconds'):.2f} "
            f"| {result.median('peak_bytes') / MIB:.0f} |"
        )
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    def markdown(self) -> str:
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        body = [f"| {' | '.join(map(str, line))} |" for line in lines]
        return "\n".join([f"## {self.title}", "", f"{machine()}. {self.note}", "", *body])


def save_table(folder: Path, name: str, table: Table, **facts: object) -> Path:
    """Write NAME-TIME.md and .json, with what the table is made of; the path of the first."""
    return _write(folder, name, table.markdown(), facts)


def save(folder: Path, name: str, markdown: str, results: Sequence[Result], **facts: object) -> Path:
    """Write NAME-TIME.md and .json; the path of the first."""
    return _write(folder, name, markdown, {**facts, "results": [asdict(result) for result in results]})


def _write(folder: Path, name: str, markdown: str, facts: Mapping[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    stem.with_suffix(".md").write_text(markdown + "\n")
    stem.with_suffix(".json").write_text(json.dumps({"machine": machine(), **facts}, indent=2) + "\n")
    return stem.with_suffix(".md")


def machine() -> str:
    return f"{len(os.sched_getaffinity(0))} processors, {platform.machine()}, Python {platform.python_version()}"
