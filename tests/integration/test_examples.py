"""The examples, run as their page says, give what the shell's own tools compute."""

import json
import subprocess
from pathlib import Path
from zlib import crc32

import pytest

from support.apollo_cli import REPOSITORY, Outcome, apollo
from support.corpus import parts, read_parts, sorted_lines

EXAMPLES = REPOSITORY / "examples"
TEXTS = sorted((EXAMPLES / "data").glob("*.txt"))


def run(out: Path, *options: object) -> Outcome:
    outcome = apollo("run", "--json", "--input", EXAMPLES / "data" / "*.txt", "--output", out, *options)
    assert outcome.status == 0, outcome
    return outcome


def expected(example: str, *arguments: str) -> bytes:
    command = ["/bin/sh", str(EXAMPLES / example / "expected.sh"), *arguments, *map(str, TEXTS)]
    return sorted_lines(subprocess.run(command, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("combiner", [[], ["--combiner", EXAMPLES / "word_count" / "reducer.awk"]])
def test_word_count_in_awk(tmp_path: Path, combiner: list[object]) -> None:
    folder = EXAMPLES / "word_count"
    run(tmp_path / "out", "--mapper", folder / "mapper.awk", "--reducer", folder / "reducer.awk", *combiner)
    assert sorted_lines(read_parts(tmp_path / "out")) == expected("word_count")


def test_word_count_in_python(tmp_path: Path) -> None:
    program = EXAMPLES / "word_count" / "word_count.py"
    run(tmp_path / "out", "--mapper", program, "--reducer", program, "--reducers", 2)
    assert sorted_lines(read_parts(tmp_path / "out")) == expected("word_count")


BY_USER_AND_TIME = ("--partitioner", "field:1", "--key-order", "-k1,1 -k2,2n")


@pytest.mark.parametrize(
    ("mapper", "reducer", "options"),
    [
        ("sessions.py", "sessions.py", ["--group-key-fields", 1]),
        ("mapper.awk", "reducer.awk", ["--map-output-key-fields", 2]),
    ],
)
def test_sessions_of_a_log(tmp_path: Path, mapper: str, reducer: str, options: list[object]) -> None:
    folder, log = EXAMPLES / "sessions", EXAMPLES / "data" / "visits.log"
    programs = ["--mapper", folder / mapper, "--reducer", folder / reducer]
    outcome = apollo(
        "run", "--input", log, "--output", tmp_path / "out", "--reducers", 2, "--split-size", "4KiB",
        *programs, *BY_USER_AND_TIME, *options,
    )  # fmt: skip
    assert outcome.status == 0, outcome
    script = subprocess.run([folder / "expected.sh", log], capture_output=True, check=True)
    assert sorted_lines(read_parts(tmp_path / "out")) == script.stdout


def test_terasort(tmp_path: Path) -> None:
    folder = EXAMPLES / "terasort"
    (tmp_path / "rows.txt").write_text("".join(f"{first} 3000\n" for first in range(0, 12_000, 3000)))
    steps = {
        "rows": ("rows.txt", folder / "generate.py", None, ["--output-format", "raw", "--split-size", 8]),
        "sorted": ("rows/part-*", "builtin:identity", "builtin:identity", ["--reducers", 3, "--partitioner", "range"]),
        "valid": ("sorted/part-*", folder / "validate.py", folder / "validate.py", []),
    }
    for output, (source, mapper, reducer, options) in steps.items():
        programs = ["--mapper", mapper, *(["--reducer", reducer] if reducer else ["--reducers", 0])]
        outcome = apollo("run", "--input", tmp_path / source, "--output", tmp_path / output, *programs, *options)
        assert outcome.status == 0, outcome
    script = subprocess.run([folder / "expected.sh", *parts(tmp_path / "rows")], capture_output=True, check=True)
    assert read_parts(tmp_path / "sorted") == script.stdout
    assert len(script.stdout) == 12_000 * 100
    assert min(part.stat().st_size for part in parts(tmp_path / "sorted")) > 300_000  # a third each, nearly
    checksum = sum(map(crc32, script.stdout.splitlines()))
    assert read_parts(tmp_path / "valid").decode() == f"checksum\t{checksum}\nlines\t12000\nmisplaced\t0\n"


def test_grep_finds_and_counts(tmp_path: Path) -> None:
    pattern = "[Ll]iberty"
    program = EXAMPLES / "grep" / "grep.py"
    run(tmp_path / "out", "--mapper", program, "--param", f"pattern={pattern}", "--reducers", 0)
    found = sorted_lines(read_parts(tmp_path / "out"))
    assert found == expected("grep", pattern)
    counters = json.loads((tmp_path / "out" / "_SUCCESS").read_bytes())["counters"]
    assert counters["grep"] == {"matching lines": len(found.splitlines())}
    assert sum(counters["matches by file"].values()) == len(found.splitlines())


def test_inverted_index_over_many_files(tmp_path: Path) -> None:
    program = EXAMPLES / "inverted_index" / "inverted_index.py"
    run(tmp_path / "out", "--mapper", program, "--combiner", program, "--reducer", program, "--reducers", 3)
    assert sorted_lines(read_parts(tmp_path / "out")) == expected("inverted_index")


def test_join_of_csv_and_json_lines_with_a_mapper_each(tmp_path: Path) -> None:
    folder = EXAMPLES / "join"
    customers, orders = folder / "customers.csv", folder / "orders.jsonl"
    inputs = ["--input-with", folder / "customers.py", "csv", customers]
    inputs += ["--input-with", folder / "orders.py", "jsonl", orders]
    roles = ["--reducer", folder / "join.py", "--reducers", 2, "--split-size", 300]
    outcome = apollo("run", "--json", *inputs, *roles, "--output", tmp_path / "out")
    assert outcome.status == 0, outcome
    command = ["/bin/sh", str(folder / "expected.sh"), str(customers), str(orders)]
    joined = subprocess.run(command, capture_output=True, check=True).stdout
    assert sorted_lines(read_parts(tmp_path / "out")) == sorted_lines(joined)
    counters = json.loads((tmp_path / "out" / "_SUCCESS").read_bytes())["counters"]
    assert counters["join"] == {"orders without a customer": orders.read_text().count('"c99"')}
