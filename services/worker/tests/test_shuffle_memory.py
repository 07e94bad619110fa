"""The memory of a process that shuffles, as the system counts it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.apollo_cli import REPOSITORY, environment

BUDGET_MIB = 32
ALLOWANCE_MIB = 150  # Python, numpy and pyarrow take about 80 of it


def measure(side: str, volume: Path, shape: str, records: int) -> dict[str, float]:
    options = ["--shape", shape, "--records", str(records), "--budget", str(BUDGET_MIB), "--volume", str(volume)]
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "shuffle.py"), "--child", side, *options]
    done = subprocess.run(command, env=environment(), check=True, capture_output=True, timeout=100)
    return json.loads(done.stdout)


@pytest.mark.parametrize(("shape", "records"), [("terasort", 1_500_000), ("words", 2_500_000)])
def test_map_and_reduce_stay_within_their_budget(tmp_path, shape, records):
    written = measure("map", tmp_path, shape, records)
    merged = measure("reduce", tmp_path, shape, records)
    assert written["bytes"] == merged["bytes"]
    assert written["peak_mib"] < BUDGET_MIB + ALLOWANCE_MIB
    assert merged["peak_mib"] < BUDGET_MIB + ALLOWANCE_MIB
