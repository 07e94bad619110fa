"""The benchmarks of the control plane run, and their tables have what they say. No figure is asserted."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.benchmarking import quick


def bench(name: str, results: Path) -> list[tuple[str, dict[str, Any]]]:
    """The tables and the documents of a run that is too small to say anything, in the order of their names."""
    said = quick(name, "--runs", "1", "--results", results)
    tables = sorted(results.glob("*.md"))
    assert all(table.read_text().strip() in said for table in tables)
    return [(table.read_text(), json.loads(table.with_suffix(".json").read_text())) for table in tables]


def rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


def test_core_tells_rate_growth_and_memory_of_each_size(tmp_path: Path):
    ((table, document),) = bench("core", tmp_path)
    assert [row[:3] for row in rows(table)] == [["200", "20", "1"], ["400", "40", "2"]]
    for run in document["runs"]:
        assert run["attempts"]["succeeded"] == run["size"]["tasks"]
        assert run["spent"]["handled"] > 3 * run["size"]["tasks"]
        assert run["bytes_per_task"] > 100


def test_coordinator_tells_completions_and_processor_time_of_each_job(tmp_path: Path):
    ((table, document),) = bench("coordinator", tmp_path)
    assert [row[0] for row in rows(table)] == ["the calls alone", "1", "median"]
    assert document["bare_cpu_per_thousand"] > 0
    (run,) = document["runs"]
    assert run["tasks"] == document["load"]["maps"] + document["load"]["reduces"]
    assert run["cpu_seconds"] > 0
    assert run["answers_ms"]


def test_intermediate_compares_a_bucket_with_a_volume(tmp_path: Path):
    ((table, document),) = bench("intermediate", tmp_path)
    assert [row[0] for row in rows(table)] == ["volume", "bucket"]
    assert rows(table)[0][2] == "1.00"
    assert all(len(seconds) == 1 for seconds in document["seconds"].values())


@pytest.mark.timeout(300)  # eight worker processes
def test_slowdown_compares_each_scenario_with_the_undisturbed_job(tmp_path: Path):
    (real, told), (virtual, _) = bench("slowdown", tmp_path)
    assert [row[0].split(",")[0] for row in rows(real)] == [
        "nothing lost",
        "one of 8 workers killed in mid-job",
        "one of 8 ten times slower",
        "one of 8 ten times slower",
    ]
    assert all(len(seconds) == 1 for seconds in told["seconds"].values())
    assert rows(real)[0][2] == rows(virtual)[0][2] == "1.00"
    lost, slow = rows(virtual)[2], rows(virtual)[3]
    assert "not restarted" in lost[0]
    assert 1 < float(lost[2]) < float(slow[2])  # virtual time: the same on every machine


def test_formats_tells_how_fast_each_is_beside_lines(tmp_path: Path):
    ((table, document),) = bench("formats", tmp_path)
    told = rows(table)
    assert told[0][0] == "`lines`"
    assert told[0][4] == "1.00"
    assert {"`csv`", "`jsonl`", "`fixed:100`"} < {row[0] for row in told}
    assert len(document["rates"]) == len(told)
    assert all(len(rates) == 1 and rates[0] > 0 for rates in document["rates"].values())
