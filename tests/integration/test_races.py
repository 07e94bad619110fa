"""Apollo raced with its peers: the tables, what is measured, and how it is judged. No figure of Apollo is asserted."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from support.benchmarking import python, quick

PNG = b"\x89PNG\r\n"
BURN = "import os,time\nwhile time.process_time() < 0.4: pass"


def rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def raced(results: Path, name: str, *options: str) -> tuple[list[dict[str, Any]], str]:
    said = quick(name, "--runs", "1", "--results", results, *options)
    (document,) = results.glob("*.json")
    table = document.with_suffix(".md").read_text()
    assert table.strip() in said
    plot = document.with_suffix(".png")
    assert plot.read_bytes().startswith(PNG) if plot.exists() else "No plot: " in said
    return json.loads(document.read_text())["races"], table


@pytest.mark.timeout(300)  # may install what draws the plot
def test_a_race_measures_who_is_there_and_names_who_is_not(tmp_path: Path):
    races, table = raced(tmp_path, "wordcount", "--contenders", "mawk", "apollo-python", "spark-sql")
    told = {result["name"]: result for result in races[0]["results"]}
    assert list(told) == ["coreutils", "mawk", "apollo-python", "spark-sql"]
    for name in ("coreutils", "mawk", "apollo-python"):
        (run,) = told[name]["runs"]
        assert run["wall_seconds"] > 0
        assert told[name]["version"]
    (apollo,) = told["apollo-python"]["runs"]
    assert apollo["cpu_seconds"] > 0
    assert apollo["peak_bytes"] > apollo["worker_peak_bytes"] / 2 > 0
    assert told["spark-sql"]["runs"] == []
    assert ["spark-sql", "", "0", "left out by --quick"] in [row[:4] for row in rows(table)]


def test_rows_are_sorted_by_every_contender(tmp_path: Path):
    races, _ = raced(tmp_path, "terasort")
    (race,) = races
    assert race["size_bytes"] == 1_000_000
    assert [result["name"] for result in race["results"] if result["runs"]] == ["gnu-sort", "apollo"]


RACE = r"""
import sys
from pathlib import Path
from benchmarks.contenders import BENCH, Contender
from benchmarks.race import Race, run_race

def contender(name, script):
    return lambda: Contender(name, "1", lambda source, target, _: ["/bin/sh", "-c", script, name, source, target])

right, wrong = 'sort "$1" > "$2"', 'sort -r "$1" > "$2"'
folder = 'mkdir "$2" && sort "$1" | split -l 2 - "$2/part-"'
fails = r"printf 'it is broken \377' >&2; exit 3"
scripts = {"right": right, "parts": folder, "wrong": wrong, "idle": "exit 0", "fails": fails}
source, *names = sys.argv[1:]
race = Race("r", "R", Path(source), {name: contender(name, scripts[name]) for name in names}, 2, in_order=True)
for result in run_race(race):
    print(f"= {result.name} {len(result.runs)} {result.failure}")
"""


def race_of_scripts(folder: Path, *names: str) -> list[str]:
    (folder / "in").write_text("b\na\nd\nc\ne\n")
    return [line for line in python("-c", RACE, folder / "in", *names).splitlines() if line.startswith("= ")]


def test_a_wrong_result_has_no_figure(tmp_path: Path):
    assert race_of_scripts(tmp_path, "right", "parts", "wrong", "idle", "fails") == [
        "= right 2 ",
        "= parts 2 ",
        "= wrong 0 its result is not that of right",
        "= idle 0 it wrote no output",
        "= fails 0 /bin/sh ended with 3: it is broken \N{REPLACEMENT CHARACTER}",
    ]


def test_nobody_has_a_figure_where_the_baseline_fails(tmp_path: Path):
    assert race_of_scripts(tmp_path, "idle", "wrong", "right") == [
        "= idle 0 it wrote no output",
        "= wrong 0 there is no result of idle to compare its own with",
        "= right 0 there is no result of idle to compare its own with",
    ]


def test_time_counts_also_of_processes_that_nobody_waits_for():
    """A daemon that its parent leaves behind, as Spark's are."""
    measure = (
        "import sys; from benchmarks.measure import measure\n"
        "one = measure(['/bin/sh', '-c', 'setsid \"$0\" -c \"$1\" & exit 0', sys.executable, sys.argv[1]])\n"
        "print(one.cpu_seconds)"
    )
    assert float(python("-c", measure, BURN)) >= 0.4


def saved(folder: Path, name: str, **facts: object) -> None:
    (folder / f"{name}-20260101T000000Z.json").write_text(json.dumps({"date": "2026-01-01", **facts}))
    (folder / f"{name}-20260101T000000Z.md").write_text(f"## the table of {name}\n")


def race(name: str, size_bytes: int, **seconds: float | str | tuple[float, float]) -> dict[str, Any]:
    """A race by contenders with these seconds (of all, of the job), or with the reason why there are none."""
    results = []
    for contender, told in seconds.items():
        wall, job = told if isinstance(told, tuple) else (told, None)
        runs = [] if isinstance(wall, str) else [
            {"wall_seconds": wall, "cpu_seconds": 1.0, "peak_bytes": 1, "worker_peak_bytes": 1,
             "command_peak_bytes": 1, "job_seconds": job}
        ]  # fmt: skip
        results.append(
            {"name": contender.replace("_", "-"), "version": "1", "runs": runs, "failure": wall if not runs else ""}
        )
    return {"name": name, "title": name, "size_bytes": size_bytes, "baseline": results[0]["name"], "results": results}


def core_run(tasks: int, microseconds: float, task_bytes: float) -> dict[str, Any]:
    spent = {"handled": 1000, "handled_seconds": microseconds / 1000}
    return {"size": {"tasks": tasks, "workers": 1, "jobs": 1}, "spent": spent, "bytes_per_task": task_bytes}


def judged(folder: Path) -> Sequence[Sequence[str]]:
    python("-m", "benchmarks", "targets", "--saved", "--results", folder)
    return [row for row in rows((folder / "targets.md").read_text()) if len(row) == 5][2:]


@pytest.mark.timeout(300)  # may install what draws the plot
def test_targets_are_judged_by_what_is_saved(tmp_path: Path):
    terasort = race("terasort", 10**9, gnu_sort=6.0, apollo=4.0, spark_sql=(20.0, 15.0))
    words = race(
        "words", 2**29, coreutils=12.0, apollo_c=5.0, apollo_rust=4.0, apollo_python=10.0, spark_sql=(18.0, 9.0),
        pyspark_rdd="there is no java",
    )  # fmt: skip
    part = race("words-part", 2**26, coreutils=2.0, apollo_python=2.0, mrjob=30.0)
    small = race("smallest", 50, coreutils=0.1, apollo_python=1.2)
    saved(tmp_path, "terasort", races=[terasort])
    saved(tmp_path, "wordcount", races=[words, part])
    saved(tmp_path, "smallest", races=[small])
    saved(tmp_path, "core", runs=[core_run(100, 40, 1400), core_run(1000, 40, 1500), core_run(1000, 60, 2500)])
    saved(tmp_path, "coordinator", runs=[{"tasks": 900, "wall_seconds": 1}, {"tasks": 1100, "wall_seconds": 2}])
    memory = [{"size_bytes": 2**20, "worker_peak_bytes": 9, "command_peak_bytes": 10 << 20},
              {"size_bytes": 2**23, "worker_peak_bytes": 200 << 20, "command_peak_bytes": 11 << 20}]  # fmt: skip
    saved(tmp_path, "memory", budget_bytes=256 << 20, allowance_bytes=144 << 20, runs=memory)
    assert [(row[0], row[1], row[3], row[4]) for row in judged(tmp_path)] == [
        ("TeraSort", "1 x gnu-sort", "1.50", "met"),
        ("TeraSort", "4 x spark-sql's job alone", "0.94", "missed"),
        ("TeraSort", "100 MB/s per core", "1.25", "met"),
        ("word count, C or Rust", "3 x coreutils", "1.00", "met"),
        ("word count, C or Rust", "4 x spark-sql", "1.12", "met"),
        ("word count, Python", "2 x pyspark-rdd", "", "not measured"),
        ("word count, Python, 64 MiB", "10 x mrjob", "1.50", "met"),
        ("smallest job", "1.5 s", "1.25", "met"),
        ("core, 1,000 tasks", "20,000 events/s", "1.00", "met"),
        ("core, 1,000 tasks", "2 KB a task", "0.80", "missed"),
        ("core, 1,000 tasks", "cost per event flat (to 1.25)", "1.00", "met"),
        ("coordinator over gRPC", "1,000 completions/s", "0.72", "missed"),
        ("memory of a worker", "400 MiB", "2.00", "met"),
        ("memory of the coordinator", "does not grow with bytes (to 1.25 x)", "1.14", "met"),
    ]
    assert "## the table of memory" in (tmp_path / "targets.md").read_text()
    assert len(json.loads((tmp_path / "targets.json").read_text())["targets"]) == 14
