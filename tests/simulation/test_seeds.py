"""Some seeds of each part on every test run; `./dev sim` plays as many as one likes. A seed is one trace, always."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.kept_seeds import KEPT
from simulation.parts import PARTS
from simulation.report import Report

SEEDS = range(20)
CHUNK = 10

TRACES = """
from simulation.parts import PARTS
for part, seeds in (("core", range(6)), ("engine", range(6)), ("crash", range(1))):
    print(part, *(PARTS[part].run(seed).digest for seed in seeds))
"""


def played(part: str, seeds) -> Report:
    total = Report()
    for seed in seeds:
        total.add(PARTS[part].run(seed))
    return total


@pytest.mark.parametrize("part", ["core", "engine"])
@pytest.mark.parametrize("first", SEEDS[::CHUNK])
def test_seeds(part, first):
    told = played(part, range(first, first + CHUNK))
    assert told.ends["succeeded"] > CHUNK // 2
    assert told.seen["attempt lost"]


def test_a_coordinator_that_dies_at_any_append_loses_nothing():
    told = played("crash", range(2))
    deaths = {name: count for name, count in told.seen.items() if name.startswith("died")}
    assert len(deaths) == 3
    assert min(deaths.values()) > 20


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: f"{kept.part}-{kept.seed}")
def test_seeds_that_once_failed(kept):
    PARTS[kept.part].run(kept.seed)


def test_the_same_seed_gives_the_same_trace_whatever_the_hash_seed():
    tests = Path(__file__).parent.parent
    traces = [
        subprocess.run(
            [sys.executable, "-c", TRACES],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert traces[0] == traces[1]
    assert len(set(traces[0].split())) == 3 + 6 + 6 + 1


def test_the_command_counts_faults_and_names_the_seed_that_fails():
    broken = """
import sys
from unittest import mock
from apollo_coordinator.engine import orders
from simulation.__main__ import main
ordered = orders.OrderBook._outputs_of_maps
reversed_ = lambda book, queue: ordered(book, queue)[::-1]
sys.argv = ["sim", "--part", "engine", "--seeds", "12", "--first", "3"]
with mock.patch.object(orders.OrderBook, "_outputs_of_maps", reversed_):
    sys.exit(main())
"""
    told = subprocess.run(
        [sys.executable, "-c", broken],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1, told.stderr
    assert "output_is_exact" in told.stdout
    assert "again: ./dev sim --part engine --seeds 1 --first" in told.stdout
    assert "tests/simulation/kept_seeds.py" in told.stdout
