"""Formats and ways to split, through `apollo run`: what coreutils, zstd and Python's csv module make of the files."""

import csv
import io
import json
import subprocess
from pathlib import Path

from support.apollo_cli import Outcome, apollo
from support.corpus import read_parts


def run(out: Path, *options: object) -> Outcome:
    outcome = apollo("run", "--json", "--output", out, *options)
    assert outcome.status == 0, outcome
    return outcome


def parts(out: Path) -> list[bytes]:
    return [part.read_bytes() for part in sorted(out.glob("part-*"))]


def test_rows_of_csv_reach_a_text_program_that_reads_csv(tmp_path: Path) -> None:
    """The rows of a split, each with a line end, are CSV again; their parts together are the file."""
    rows = [[str(i), f'said "{i}",\n{"and more, " * (i % 7)}', ""] for i in range(300)]
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    program = tmp_path / "last_column.py"
    program.write_text(
        "#!/usr/bin/env python3\nimport csv, json, sys\nfor row in csv.reader(sys.stdin):\n    print(json.dumps(row))\n"
    )
    cut = ["--input", tmp_path / "in.csv", "--input-format", "csv", "--split-size", 4000]
    run(tmp_path / "out", *cut, "--mapper", program, "--reducers", 0)
    assert len(parts(tmp_path / "out")) == -(-(tmp_path / "in.csv").stat().st_size // 4000) > 2
    told = [json.loads(line) for line in read_parts(tmp_path / "out").splitlines()]
    assert told == list(csv.reader(io.StringIO((tmp_path / "in.csv").read_text(), newline=""))) != []


def test_names_that_find_separates_by_nul(tmp_path: Path) -> None:
    """A delimiter that no command line can hold; the records hold spaces and tabs, and get line ends."""
    folder = tmp_path / "some files"
    folder.mkdir()
    for number in range(200):
        (folder / f"no {number}\tx").touch()
    found = subprocess.run(["find", folder, "-type", "f", "-print0"], capture_output=True, check=True).stdout
    (tmp_path / "names").write_bytes(found)
    cut = ["--input", tmp_path / "names", "--input-format", r"lines:\0", "--split-size", 1000]
    run(tmp_path / "out", *cut, "--mapper", "shell:cat", "--reducers", 0)
    expected = subprocess.run(["tr", r"\0", r"\n"], input=found, capture_output=True, check=True).stdout
    assert read_parts(tmp_path / "out") == expected


def test_many_small_files_share_map_tasks_and_parts_are_compressed(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    for number in range(150):
        (folder / f"{number:03d}").write_text(f"file {number}\n" * 5)
    given = ["--input", folder, "--mapper", "shell:cat", "--reducers", 0, "--compression", "zstd"]
    run(tmp_path / "out", *given, "--split-policy", "packed", "--split-size", 4000)
    packed = sorted((tmp_path / "out").glob("part-m-*"))
    plain = subprocess.run(["zstd", "-dc", *packed], capture_output=True, check=True).stdout
    assert len(packed) == 2
    assert plain.replace(b"\t", b"") == b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def test_splits_of_a_hadoop_job_and_what_its_programs_are_told(tmp_path: Path) -> None:
    """The longest first, a last tenth joined, an empty file a task of its own; a lone CR ends a line."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(b"one\rtwo\n" * 13)
    (tmp_path / "in/b").touch()
    (tmp_path / "in/c").write_bytes(b"x\n" * 52)
    tell = 'shell:printf "%s %s %s\\n" "${APOLLO_INPUT##*/}" $APOLLO_INPUT_OFFSET $APOLLO_INPUT_LENGTH; wc -l'
    given = [
        "--input",
        tmp_path / "in",
        "--split-policy",
        "hadoop",
        "--split-size",
        50,
        "--input-format",
        "hadoop-text",
    ]
    run(tmp_path / "out", *given, "--mapper", tell, "--reducers", 0)
    told = [[line.split() for line in part.splitlines()] for part in parts(tmp_path / "out")]
    assert [place for place, _ in told] == [
        [b"a", b"50", b"54"], [b"c", b"50", b"54"], [b"a", b"0", b"50"], [b"c", b"0", b"50"], [b"b", b"0", b"0"],
    ]  # fmt: skip
    assert [int(lines) for _, (lines,) in told] == [13, 26, 13, 26, 0]


def test_a_job_without_any_input_has_empty_parts(tmp_path: Path) -> None:
    given = ["--input", tmp_path / "none", "--mapper", "shell:cat", "--reducer", "builtin:identity"]
    outcome = apollo("run", *given, "--output", tmp_path / "refused")
    assert outcome.status == 1
    assert "nothing is at" in outcome.stderr
    run(tmp_path / "out", *given, "--allow-no-input", "--reducers", 2)
    assert parts(tmp_path / "out") == [b"", b""]
    run(tmp_path / "maps", *given[:4], "--allow-no-input", "--reducers", 0)
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["_SUCCESS"]
