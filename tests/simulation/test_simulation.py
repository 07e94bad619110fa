"""A hundred seeds of each part on every test run, the same trace for the same seed, and proof that faults are seen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from apollo_coordinator.core import scheduler
from apollo_coordinator.core.invariants import InvariantBroken
from apollo_coordinator.core.state import State
from apollo_coordinator.core.transitions import InvalidTransition
from apollo_coordinator.engine import orders
from simulation import core_run, engine_run
from support.quiet import quiet_logs

SEEDS = 100
TRACES = """
from simulation import core_run, engine_run
from support.quiet import quiet_logs
with quiet_logs():
    print([part.run(seed) for part in (core_run, engine_run) for seed in range(5)])
"""


@pytest.fixture(autouse=True)
def quiet():
    with quiet_logs():
        yield


@pytest.mark.parametrize("first", range(0, SEEDS, 10))
def test_core_seeds(first):
    for seed in range(first, first + 10):
        core_run.run(seed)


@pytest.mark.parametrize("first", range(0, SEEDS, 10))
def test_engine_seeds(first):
    for seed in range(first, first + 10):
        engine_run.run(seed)


def test_the_same_seed_gives_the_same_trace_whatever_the_hash_seed():
    tests = Path(__file__).parent.parent
    traces = {
        subprocess.run(
            [sys.executable, "-c", TRACES],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(tests), *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(traces) == 1


def all_seeds(part) -> None:
    for seed in range(SEEDS):
        part.run(seed)


def test_a_planted_disorder_of_map_outputs_is_found(monkeypatch):
    ordered = orders.OrderBook._outputs_of_maps
    monkeypatch.setattr(orders.OrderBook, "_outputs_of_maps", lambda book, queue: ordered(book, queue)[::-1])
    with pytest.raises(AssertionError, match="part-r-"):
        all_seeds(engine_run)


def test_a_planted_belief_in_lost_attempts_is_found(monkeypatch):
    def believing(state: State, attempt):
        queue = state.queues.get(attempt.partition("-")[0])
        for task in (*queue.job.maps, *queue.job.reduces) if queue else ():
            for known in task.attempts:
                if known.id == attempt:
                    return scheduler.Running(task, known)
        return None

    monkeypatch.setattr(State, "running", believing)
    with pytest.raises((InvalidTransition, InvariantBroken)):
        all_seeds(core_run)


def test_a_planted_deafness_to_fetch_failures_is_found(monkeypatch):
    monkeypatch.setattr(scheduler, "_lose_map_output", lambda *_: None)
    with pytest.raises(AssertionError):
        all_seeds(engine_run)
