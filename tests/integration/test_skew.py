"""Skewed and large inputs: exact results by coreutils, and workers that stay within budget and allowance."""

import json
from pathlib import Path

import pytest
from benchmarks.measure import Measurement
from benchmarks.memory import ALLOWANCE_BYTES
from benchmarks.skew import NAMES, over_allowance
from benchmarks.skew_cases import Case, WrongResult, all_cases, check

from support.benchmarking import quick
from support.compilers import need


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_results_are_exact_and_memory_is_bounded(tmp_path: Path, name: str):
    need("cc")
    said = quick("skew", "--case", name, "--results", tmp_path)
    (table,) = tmp_path.glob("*.md")
    assert table.read_text().strip() in said
    (run,) = json.loads(table.with_suffix(".json").read_text())["runs"]
    assert run["case"] == name
    assert 0 < run["measurement"]["worker_peak_bytes"] <= run["budget_bytes"] + ALLOWANCE_BYTES


def small_case(folder: Path, name: str) -> Case:
    """A case and its input; of lines, ten of them."""
    (case,) = (case for case in all_cases(quick=True) if case.name == name)
    (folder / "in").write_text("".join(f"key{number % 3}\t{number}\n" for number in range(10)))
    (folder / "out").mkdir()
    return case


def write_parts(folder: Path, *parts: str) -> None:
    for number, content in enumerate(parts):
        (folder / f"out/part-r-{number:05d}").write_text(content)


FIRST = "key0\t0\nkey0\t3\nkey0\t6\nkey0\t9\nkey2\t2\nkey2\t5\nkey2\t8\n"
SECOND = "key1\t1\nkey1\t4\nkey1\t7\n"


def test_parts_that_are_the_sorted_input_pass(tmp_path: Path):
    case = small_case(tmp_path, "hot-key")
    write_parts(tmp_path, FIRST, SECOND)
    check(case, tmp_path)


@pytest.mark.parametrize(
    "parts",
    [
        (FIRST,),
        (FIRST, SECOND, SECOND),
        (FIRST, SECOND.replace("7", "8")),
        (FIRST, "key1\t4\nkey1\t1\nkey1\t7\n"),  # values in another order
        (FIRST + "key1\t1\n", "key1\t4\nkey1\t7\n"),  # a key in two parts
    ],
)
def test_parts_that_differ_do_not(tmp_path: Path, parts: tuple[str, ...]):
    case = small_case(tmp_path, "hot-key")
    write_parts(tmp_path, *parts)
    with pytest.raises(WrongResult, match="hot-key"):
        check(case, tmp_path)


@pytest.mark.parametrize(("beyond_bytes", "wrong"), [(0, False), (1, True), (-(1 << 40), True)])
def test_a_worker_beyond_its_allowance_is_told(tmp_path: Path, beyond_bytes: int, *, wrong: bool):
    case = small_case(tmp_path, "urls")
    peak_bytes = max(0, case.budget_bytes + ALLOWANCE_BYTES + beyond_bytes)  # 0: no worker was seen
    told = over_allowance(case, Measurement(1.0, 1.0, peak_bytes, peak_bytes, 0))
    assert ("urls: a worker took" in told) is wrong
