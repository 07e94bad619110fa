"""Tables of results, in Markdown for people and JSON for programs."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.contenders import WORKERS
from benchmarks.measure import Measurement

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Result:
    """What a contender needed, run by run; `failure` says why there is nothing."""

    name: str
    version: str
    runs: tuple[Measurement, ...] = ()
    failure: str = ""

    def median(self, quantity: str) -> float:
        return float(statistics.median(getattr(run, quantity) for run in self.runs))


def results_of(race: Mapping[str, Any]) -> list[Result]:
    """The results in a race's saved document."""
    return [
        Result(told["name"], told["version"], tuple(Measurement(**run) for run in told["runs"]), told["failure"])
        for told in race["results"]
    ]


def comparison(title: str, results: Sequence[Result], *, baseline: str, size_bytes: int) -> str:
    """A table of medians; the ratio says how many times the baseline's time a contender takes."""
    base = next((result for result in results if result.name == baseline and result.runs), None)
    note = (
        f"{machine()}. Medians; `ratio` is to {baseline}: below 1 is faster. `job s`: without the start, where the "
        f"contender tells it. MB/s are of input, for each of {WORKERS} processors. CPU and memory are those of all "
        "processes together."
    )
    lines = [
        f"## {title}",
        "",
        note,
        "",
        "| contender | version | runs | wall s | ratio | job s | MB/s per core | CPU s | peak MiB |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for result in results:
        if not result.runs:
            lines.append(f"| {result.name} | | 0 | {result.failure} | | | | | |")
            continue
        wall = result.median("wall_seconds")
        ratio = f"{wall / base.median('wall_seconds'):.2f}" if base else ""
        job = f"{result.median('job_seconds'):.2f}" if result.runs[0].job_seconds is not None else ""
        lines.append(
            f"| {result.name} | {result.version} | {len(result.runs)} | {wall:.2f} | {ratio} | {job} "
            f"| {size_bytes / 1e6 / wall / WORKERS:.1f} | {result.median('cpu_seconds'):.2f} "
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
    return save(folder, name, table.markdown(), **facts)


def save(folder: Path, name: str, markdown: str, **facts: object) -> Path:
    """Write NAME-TIME.md and .json; the path of the first."""
    return write(folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}", markdown, facts)


def write(stem: Path, markdown: str, facts: Mapping[str, object]) -> Path:
    """STEM.md and .json; the path of the first."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".md").write_text(markdown + "\n")
    known = {"machine": machine(), "date": f"{datetime.now(UTC):%Y-%m-%d}", "load_average": os.getloadavg()}
    stem.with_suffix(".json").write_text(json.dumps({**known, **facts}, indent=2) + "\n")
    return stem.with_suffix(".md")


def machine() -> str:
    return (
        f"{len(os.sched_getaffinity(0))} processors ({_processor()}), {_memory_bytes() / (1 << 30):.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
