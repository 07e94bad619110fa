"""TeraSort: rows of 100 bytes, from a file to files in the order of their keys."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.contenders import BENCH, Preparation
from benchmarks.peers import apollo, coreutils, spark
from benchmarks.race import Race, left_out, run_races

ROW_BYTES = 100
KEY_BYTES = 10
NUMBER_DIGITS = 32
ROWS_AT_ONCE = 100_000
SEED = 20261123
CONTENDERS: Mapping[str, Preparation] = {
    "gnu-sort": coreutils.sort,
    "apollo": apollo.sort,
    "spark-sql": spark.sql_sort,
}
QUICK_NAMES = frozenset({"gnu-sort", "apollo"})


def run(*, size_bytes: int, runs: int, quick: bool, results_folder: Path) -> None:
    """Every output has the same bytes, since no two rows have the same key."""
    contenders = {
        name: left_out("left out by --quick") if quick and name not in QUICK_NAMES else prepare
        for name, prepare in CONTENDERS.items()
    }
    rows = write_rows(BENCH / f"rows-{size_bytes // ROW_BYTES}.txt", size_bytes // ROW_BYTES)
    title = f"TeraSort, {size_bytes / 1e6:,.0f} MB in rows of {ROW_BYTES} bytes"
    race = Race("terasort", title, rows, contenders, runs, in_order=True)
    run_races("terasort", "TeraSort: Apollo and its peers", [race], results_folder=results_folder)


def write_rows(path: Path, count: int) -> Path:
    """Rows as examples/terasort makes them: a random printable key, a tab, the row's number, filling. Made once."""
    if path.exists() and path.stat().st_size == count * ROW_BYTES:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(SEED)
    with path.open("wb") as out:
        for first in range(0, count, ROWS_AT_ONCE):
            numbers = np.arange(first, min(first + ROWS_AT_ONCE, count))
            out.write(_rows(numbers, random).tobytes())
    return path


def _rows(
    numbers: np.ndarray[tuple[int], np.dtype[np.int64]], random: np.random.Generator
) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    rows = np.empty((len(numbers), ROW_BYTES), np.uint8)
    rows[:, :KEY_BYTES] = random.integers(ord(" "), ord("~") + 1, (len(numbers), KEY_BYTES), np.uint8)
    rows[:, KEY_BYTES] = ord("\t")
    digits = rows[:, KEY_BYTES + 1 :][:, :NUMBER_DIGITS]
    for place in range(NUMBER_DIGITS):
        digits[:, -1 - place] = numbers % 10 + ord("0")
        numbers = numbers // 10
    filling = rows[:, KEY_BYTES + 1 + NUMBER_DIGITS : -1]
    filling[:] = np.frombuffer(b"ABCDEFGH" * 7, np.uint8)
    rows[:, -1] = ord("\n")
    return rows
