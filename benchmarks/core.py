"""The scheduling core at scale, alone: events a second, memory of a task, and how both grow with the cluster."""

import gc
import multiprocessing
import statistics
import sys
import time
import types
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from apollo_common.ids import JobId
from apollo_coordinator.core import events, invariants
from apollo_coordinator.core.limits import Limits
from apollo_coordinator.core.model import JobStatus
from apollo_coordinator.core.scheduler import step
from apollo_coordinator.core.state import State
from apollo_coordinator.garbage import collect_garbage_rarely
from benchmarks.report import Table, save_table
from benchmarks.simulated_cluster import RECORDS, SimulatedCluster, spec_of

REDUCE_SHARE = 5  # one task in so many is a reduce
BATCH_EVENTS = 200
ENDED_JOBS = 100
SEED = 20261122

_NOT_STATE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)


@dataclass(frozen=True, slots=True)
class Size:
    tasks: int
    workers: int
    jobs: int


QUICK = (Size(200, 20, 1), Size(400, 40, 2))
SIZES = (Size(1_000, 100, 1), Size(10_000, 1_000, 10), Size(100_000, 10_000, 100), Size(100_000, 10_000, 1))


@dataclass(frozen=True, slots=True)
class Run:
    size: Size
    spent: "Spent"
    bytes_per_task: float
    attempts: Mapping[str, int]  # by how they ended


@dataclass(slots=True)
class Spent:
    """Processor time in the core alone, garbage collection included.

    The clock's ticks stand apart: they come five times a second whatever else happens, and search for stragglers.
    """

    handled: int = 0  # events, but for ticks
    handled_seconds: float = 0.0
    ticks: int = 0
    ticks_seconds: float = 0.0
    half_bytes: int = 0  # of the state when half of the tasks were done

    @property
    def microseconds_per_event(self) -> float:
        return self.handled_seconds / self.handled * 1e6

    @property
    def tick_milliseconds(self) -> float:
        return self.ticks_seconds / self.ticks * 1000

    def note(self, batch: Sequence[tuple[events.Event, int]], seconds: float) -> None:
        if isinstance(batch[0][0], events.Tick):
            self.ticks += 1
            self.ticks_seconds += seconds
        else:
            self.handled += len(batch)
            self.handled_seconds += seconds


class NotRight(Exception):
    """The core has not done what it was asked to; a rate of wrong decisions says nothing."""


def run(*, runs: int, quick: bool, results_folder: Path) -> None:
    """Each size `runs` times, in turns, each in a process of its own; print and save the table."""
    sizes = QUICK if quick else SIZES
    ended_job_bytes = measure_ended_job_bytes()
    measured: dict[Size, list[Run]] = {size: [] for size in sizes}
    context = multiprocessing.get_context("spawn")
    for _ in range(runs):
        for size in sizes:
            with ProcessPoolExecutor(1, mp_context=context) as process:
                measured[size].append(process.submit(measure, size).result())
    table = tabulate(measured, ended_job_bytes)
    every_run = [asdict(one) for all_ in measured.values() for one in all_]
    path = save_table(results_folder, "core", table, runs=every_run, ended_job_bytes=ended_job_bytes)
    print(f"{table.markdown()}\n\nSaved as {path} and .json")


def measure(size: Size) -> Run:
    """Run all jobs of a size to their end, in a process set up as the coordinator's. NotRight."""
    collect_garbage_rarely()
    state = State()
    spent = _run_jobs(state, size)
    _check(state, size)
    largest_bytes = max(spent.half_bytes, deep_size_bytes(state))
    attempts = Counter(
        attempt.status.value
        for job in state.jobs.values()
        for task in (*job.maps, *job.reduces)
        for attempt in task.attempts
    )
    return Run(size, spent, largest_bytes / size.tasks, dict(attempts))


def measure_ended_job_bytes() -> float:
    """Of a job that ended a while ago, whose tasks are no longer at hand."""
    sizes_bytes = []
    for jobs in (ENDED_JOBS, 2 * ENDED_JOBS):
        state = State(Limits(max_ended_tasks_at_hand=0))
        _run_jobs(state, Size(10 * jobs, 10, jobs))
        sizes_bytes.append(deep_size_bytes(state))
    return (sizes_bytes[1] - sizes_bytes[0]) / ENDED_JOBS


def _run_jobs(state: State, size: Size) -> Spent:
    """To their end."""
    reduces = size.tasks // size.jobs // REDUCE_SHARE
    maps = size.tasks // size.jobs - reduces
    cluster = SimulatedCluster(SEED, maps)
    cluster.join(size.workers)
    for number in range(size.jobs):
        cluster.submit(JobId(f"job{number}"), spec_of(number, reduces))
    spent = Spent()
    batches = _batches(cluster)
    while state.jobs_created < size.jobs or state.queues:
        batch = next(batches)
        began = time.process_time()
        outcomes = [step(state, event, now_ms) for event, now_ms in batch]
        spent.note(batch, time.process_time() - began)
        for outcome in outcomes:
            for command in outcome.commands:
                cluster.obey(command)
        if not spent.half_bytes and 2 * _completed(state) > size.tasks:
            spent.half_bytes = deep_size_bytes(state)
    return spent


def _batches(cluster: SimulatedCluster) -> Iterator[list[tuple[events.Event, int]]]:
    """Events with their times; a tick is a batch of its own. What one batch leads to comes after it."""
    batch: list[tuple[events.Event, int]] = []
    for event in cluster.due():
        ticks = isinstance(event, events.Tick)
        if batch and (ticks or len(batch) == BATCH_EVENTS):
            yield batch
            batch = []
        batch.append((event, cluster.now_ms))
        if ticks:
            yield batch
            batch = []


def _completed(state: State) -> int:
    return sum(queue.accepted_maps + queue.accepted_reduces for queue in state.queues.values())


def _check(state: State, size: Size) -> None:
    invariants.check(state)
    for job in state.jobs.values():
        records = job.counters["apollo"]["input_records"]
        if job.status is not JobStatus.SUCCEEDED or records != RECORDS * size.tasks // size.jobs:
            raise NotRight(f"{job.id} has {job.status} after {records} records")


def deep_size_bytes(root: object) -> int:
    """Of everything that is reachable from `root`, each object once; what the allocator rounds up is not counted."""
    seen: set[int] = set()
    front = [root]
    total = 0
    while front:
        found = front.pop()
        if id(found) in seen or isinstance(found, _NOT_STATE):
            continue
        seen.add(id(found))
        total += sys.getsizeof(found)
        front.extend(gc.get_referents(found))
    return total


def tabulate(measured: dict[Size, list[Run]], ended_job_bytes: float) -> Table:
    first = next(iter(measured.values()))
    rows = []
    for size, runs in measured.items():
        cost = statistics.median(run.spent.microseconds_per_event for run in runs)
        growth = statistics.median(
            run.spent.microseconds_per_event / base.spent.microseconds_per_event
            for run, base in zip(runs, first, strict=True)
        )
        tick = statistics.median(run.spent.tick_milliseconds for run in runs)
        again = runs[0].attempts
        rows.append(
            (
                f"{size.tasks:,}", f"{size.workers:,}", size.jobs, f"{runs[0].spent.handled:,}", f"{1e6 / cost:,.0f}",
                f"{cost:.1f}", f"{growth:.2f}", f"{tick:.2f}", f"{runs[0].bytes_per_task:,.0f}",
                ", ".join(f"{again[status]:,} {status}" for status in sorted(again)),
            )
        )  # fmt: skip
    return Table(
        "The scheduling core alone",
        f"Medians of {len(first)} runs. Rates are of processor time in the core; `growth` is an event's cost beside "
        "the first row's, in the same run. A tick comes every 200 ms, whatever else happens. Bytes are those of the "
        "whole state, workers included, per task; a job that ended a while ago keeps "
        f"{ended_job_bytes:,.0f}.",
        ("tasks", "workers", "jobs", "events", "events/s", "us/event", "growth", "ms/tick", "bytes/task", "attempts"),
        rows,
    )
