"""The parts of the simulation, by name: how a seed of each is run, and which faults it should have met after many."""

import signal
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from simulation import core_run, crash_run, engine_run, faults
from simulation.report import Report

SECONDS_PER_SEED = 120
SIGHTS = (
    "succeeded",
    "stopped",
    "failed (program_exited)",
    "failed (worker_unreachable)",
    "failed (fetch_failed)",
    "failed (job_timeout)",
    "attempt lost",
    "attempt attached again",
    "map run again for a reduce",
    "backup started",
    "backup won",
    "attempt cancelled by a rival",
)


@dataclass(frozen=True)
class Part:
    """`kinds` of faults, and what else must be seen. `weight`: one seed of this part stands for so many of others."""

    run: Callable[[int], Report]
    kinds: Mapping[str, float]
    sights: tuple[str, ...] = ("succeeded", "stopped", "attempt lost")
    weight: int = 1

    def missing(self, told: Report) -> list[str]:
        """What never happened: after many seeds, a defect of the simulation."""
        happened = told.faults + told.ends + told.seen
        return sorted(name for name in (*self.kinds, *self.sights) if not happened[name])


PARTS: Mapping[str, Part] = {
    "core": Part(core_run.run, core_run.KINDS, (*SIGHTS, "job redriven")),
    "engine": Part(engine_run.run, faults.KINDS, (*SIGHTS, "worker quarantined", "coordinator died in mid-append")),
    "crash": Part(crash_run.run, crash_run.KINDS, weight=100),
}


class TooSlow(AssertionError):
    """A seed goes round in circles."""


def try_seed(part: str, seed: int) -> Report | str:
    """What happened, or the traceback of what broke. For the main thread of a process."""

    def too_slow(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise TooSlow(f"seed {seed} runs for more than {SECONDS_PER_SEED} s")

    before = signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(SECONDS_PER_SEED)
    try:
        return PARTS[part].run(seed)
    except Exception:  # noqa: BLE001 - whatever broke is what the simulation looks for
        return traceback.format_exc(limit=-8)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
