"""The targets, and what the benchmarks' results say of them. Pure: documents in, lines out."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.contenders import WORKERS
from benchmarks.report import MIB, Result, results_of
from benchmarks.wordcount import PART, WHOLE

SORT_MB_PER_CORE = 100
SORT_SPARK_TIMES = 4
WORDS_COREUTILS_TIMES, WORDS_SPARK_TIMES = 3, 4
PYTHON_RDD_TIMES, PYTHON_MRJOB_TIMES = 2, 10
SMALLEST_SECONDS = 1.5
CORE_EVENTS_PER_SECOND = 20_000
CORE_TASK_BYTES = 2000
FLAT = 1.25  # growth that is noise on a machine that other work shares
COMPLETIONS_PER_SECOND = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """`ratio`: how far the target is reached, 1 and more is met; None when it could not be measured."""

    work: str
    target: str
    measured: str
    ratio: float | None

    @property
    def is_met(self) -> bool:
        return self.ratio is not None and self.ratio >= 1

    @property
    def verdict(self) -> str:
        return "not measured" if self.ratio is None else "met" if self.is_met else "missed"


def judge(documents: Mapping[str, Any]) -> list[Line]:
    """Of the JSON documents of all benchmarks that tell of a target, by their names."""
    races = {race["name"]: race for name in ("terasort", "wordcount", "smallest") for race in documents[name]["races"]}
    return [
        *_sort(races["terasort"]),
        *_words_native(races[WHOLE]),
        *_words_python(races[WHOLE], races[PART]),
        *_smallest(races["smallest"]),
        *_core(documents["core"]["runs"]),
        *_coordinator(documents["coordinator"]["runs"]),
        *_memory(documents["memory"]),
    ]


def _sort(race: Mapping[str, Any]) -> list[Line]:
    results = _by_name(race)
    ours = results["apollo"]
    lines = [
        _faster("TeraSort", ours, results["gnu-sort"], 1),
        _faster("TeraSort", ours, results["spark-sql"], SORT_SPARK_TIMES, quantity="job_seconds"),
    ]
    target = f"{SORT_MB_PER_CORE} MB/s per core"
    if not ours.runs:
        return [*lines, Line("TeraSort", target, ours.failure, None)]
    rate = race["size_bytes"] / 1e6 / ours.median("wall_seconds") / WORKERS
    return [*lines, Line("TeraSort", target, f"{rate:.1f} MB/s", rate / SORT_MB_PER_CORE)]


def _words_native(race: Mapping[str, Any]) -> list[Line]:
    results = _by_name(race)
    native = [results[name] for name in ("apollo-c", "apollo-rust") if results[name].runs]
    ours = min(native, key=lambda result: result.median("wall_seconds"), default=results["apollo-c"])
    return [
        _faster("word count, C or Rust", ours, results["coreutils"], WORDS_COREUTILS_TIMES),
        _faster("word count, C or Rust", ours, results["spark-sql"], WORDS_SPARK_TIMES),
    ]


def _words_python(whole: Mapping[str, Any], part: Mapping[str, Any]) -> list[Line]:
    of_all, of_part = _by_name(whole), _by_name(part)
    share = f"word count, Python, {part['size_bytes'] >> 20} MiB"
    return [
        _faster("word count, Python", of_all["apollo-python"], of_all["pyspark-rdd"], PYTHON_RDD_TIMES),
        _faster(share, of_part["apollo-python"], of_part["mrjob"], PYTHON_MRJOB_TIMES),
    ]


def _smallest(race: Mapping[str, Any]) -> list[Line]:
    ours = _by_name(race)["apollo-python"]
    target = f"{SMALLEST_SECONDS} s"
    if not ours.runs:
        return [Line("smallest job", target, ours.failure, None)]
    seconds = ours.median("wall_seconds")
    return [Line("smallest job", target, f"{seconds:.2f} s", SMALLEST_SECONDS / seconds)]


def _core(runs: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The largest size, and how an event's cost grew from the size before it with a tenth of the cluster."""
    largest = max(run["size"]["tasks"] for run in runs)
    at_largest = [run for run in runs if run["size"]["tasks"] == largest]
    smaller = [run for run in runs if run["size"]["tasks"] < largest]
    before = max(run["size"]["tasks"] for run in smaller)
    at_before = [run for run in smaller if run["size"]["tasks"] == before]
    cost, cost_before = (max(_by_size(found, _event_cost).values()) for found in (at_largest, at_before))
    task_bytes = max(run["bytes_per_task"] for run in at_largest)
    work = f"core, {largest:,} tasks"
    return [
        Line(work, f"{CORE_EVENTS_PER_SECOND:,} events/s", f"{1 / cost:,.0f}", 1 / cost / CORE_EVENTS_PER_SECOND),
        Line(work, "2 KB a task", f"{task_bytes:,.0f} bytes", CORE_TASK_BYTES / task_bytes),
        Line(
            work, f"cost per event flat (to {FLAT})", f"{cost / cost_before:.2f} x that of {before:,} tasks",
            FLAT / (cost / cost_before),
        ),
    ]  # fmt: skip


def _event_cost(run: Mapping[str, Any]) -> float:
    return float(run["spent"]["handled_seconds"] / run["spent"]["handled"])


def _by_size(runs: Iterable[Mapping[str, Any]], cost: Callable[[Mapping[str, Any]], float]) -> dict[str, float]:
    """The median cost of each size."""
    found: dict[str, list[float]] = {}
    for run in runs:
        found.setdefault(str(run["size"]), []).append(cost(run))
    return {size: statistics.median(costs) for size, costs in found.items()}


def _coordinator(runs: Sequence[Mapping[str, Any]]) -> list[Line]:
    rate = statistics.median(run["tasks"] / run["wall_seconds"] for run in runs)
    target = f"{COMPLETIONS_PER_SECOND:,} completions/s"
    return [Line("coordinator over gRPC", target, f"{rate:,.0f}", rate / COMPLETIONS_PER_SECOND)]


def _memory(document: Mapping[str, Any]) -> list[Line]:
    small, large = sorted(document["runs"], key=lambda run: int(run["size_bytes"]))
    allowed, took = document["budget_bytes"] + document["allowance_bytes"], large["worker_peak_bytes"]
    growth = large["command_peak_bytes"] / small["command_peak_bytes"]
    more = large["size_bytes"] // small["size_bytes"]
    return [
        Line("memory of a worker", f"{allowed >> 20} MiB", f"{took / MIB:.0f} MiB", allowed / took),
        Line(
            "memory of the coordinator", f"does not grow with bytes (to {FLAT} x)",
            f"{growth:.2f} x for {more} x the bytes", FLAT / growth,
        ),
    ]  # fmt: skip


def _faster(work: str, ours: Result, peer: Result, times: float, quantity: str = "wall_seconds") -> Line:
    """Whether the peer's time, by default of the whole command, is so many times ours."""
    of_what = {"wall_seconds": "", "job_seconds": "'s job alone"}[quantity]
    target = f"{times:g} x {peer.name}{of_what}"
    for result in (ours, peer):
        if not result.runs:
            return Line(work, target, f"{result.name}: {result.failure}", None)
    seconds, peer_seconds = ours.median("wall_seconds"), peer.median(quantity)
    measured = f"{peer_seconds / seconds:.2f} x ({ours.name} {seconds:.2f} s, {peer_seconds:.2f} s)"
    return Line(work, target, measured, peer_seconds / seconds / times)


def _by_name(race: Mapping[str, Any]) -> dict[str, Result]:
    return {result.name: result for result in results_of(race)}
