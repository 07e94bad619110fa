"""The benchmarks of the control plane run, and their tables have what they say. No figure is asserted."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.apollo_cli import REPOSITORY, environment


def bench(name: str, results: Path, *options: str) -> tuple[str, dict[str, Any]]:
    """The table and the document of a run that is too small to say anything."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", name, "--quick", "--runs", "1", "--results", results, *options],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (table,), (document,) = results.glob("*.md"), results.glob("*.json")
    assert table.read_text().strip() in done.stdout
    return table.read_text(), json.loads(document.read_text())


def rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


def test_core_tells_rate_growth_and_memory_of_each_size(tmp_path: Path):
    table, document = bench("core", tmp_path)
    assert [row[:3] for row in rows(table)] == [["200", "20", "1"], ["400", "40", "2"]]
    for run in document["runs"]:
        assert run["attempts"]["succeeded"] == run["size"]["tasks"]
        assert run["events"] > 3 * run["size"]["tasks"]
        assert run["bytes_per_task"] > 100


def test_coordinator_tells_completions_and_processor_time_of_each_job(tmp_path: Path):
    table, document = bench("coordinator", tmp_path)
    assert [row[0] for row in rows(table)] == ["1", "median"]
    (run,) = document["runs"]
    assert run["tasks"] == document["load"]["maps"] + document["load"]["reduces"]
    assert run["cpu_seconds"] > 0
    assert run["answers_ms"]
