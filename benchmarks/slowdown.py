"""What lost and slow workers cost a job, as ratios to a job that meets neither, in the same run."""

import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

from benchmarks import real_slowdown, virtual_slowdown
from benchmarks.report import Table, save_table
from support.quiet import quiet_logs


def run(*, runs: int, quick: bool, results_folder: Path) -> None:
    """Both forms; print and save a table of each. The paper's size is run with as many seeds as `runs`."""
    cluster = virtual_slowdown.QUICK if quick else virtual_slowdown.PAPER
    seconds = virtual(cluster, range(runs))
    title = f"Slowdown at {cluster.workers:,} workers, {cluster.maps:,} maps and {cluster.reduces:,} reduces"
    note = f"The real engine on virtual time; medians of {runs} seeds."
    _tell(results_folder, "slowdown-virtual", title, note, seconds, cluster=asdict(cluster))
    size = real_slowdown.QUICK if quick else real_slowdown.FULL
    seconds = real_slowdown.measure(runs=runs, size=size)
    title = f"Slowdown with {real_slowdown.WORKERS} real worker processes and {size.maps} maps"
    note = f"Medians of {runs} runs, in turns on one coordinator."
    _tell(results_folder, "slowdown-real", title, note, seconds, size=asdict(size))


def virtual(cluster: virtual_slowdown.Cluster, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Virtual seconds of each scenario, by seed; a process for each processor."""
    jobs = [(scenario, seed) for scenario in virtual_slowdown.SCENARIOS for seed in seeds]
    with ProcessPoolExecutor() as processes:
        waiting = [processes.submit(_run_quietly, cluster, *job) for job in jobs]
        found = [future.result() for future in waiting]
    return {
        scenario.name: [seconds for (of, _), seconds in zip(jobs, found, strict=True) if of is scenario]
        for scenario in virtual_slowdown.SCENARIOS
    }


def _run_quietly(cluster: virtual_slowdown.Cluster, scenario: virtual_slowdown.Scenario, seed: int) -> float:
    with quiet_logs():
        return virtual_slowdown.run_scenario(cluster, scenario, seed)


def _tell(
    folder: Path, name: str, title: str, note: str, seconds: Mapping[str, Sequence[float]], **facts: object
) -> None:
    base = next(iter(seconds.values()))
    rows = []
    for scenario, each in seconds.items():
        ratios = [one / undisturbed for one, undisturbed in zip(each, base, strict=True)]
        rows.append((scenario, f"{statistics.median(each):.1f}", f"{statistics.median(ratios):.2f}"))
    table = Table(title, f"{note} The slowdown is to the first row, of the same run.", ("job", "s", "slowdown"), rows)
    path = save_table(folder, name, table, **facts, seconds=seconds)
    print(f"{table.markdown()}\n\nSaved as {path} and .json\n")
