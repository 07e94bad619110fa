"""Jobs with records on which their mappers fail, on real processes: what awk makes of the others, and what is kept."""

import gzip
import json
import math
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.apollo_cli import Outcome, apollo
from support.coordinator_process import CoordinatorProcess, wait_for
from support.corpus import read_parts

AWK = 'shell:awk \'$1 == "bad" { print "cannot take " $2 > "/dev/stderr"; exit 3 } { print $1 "\\t" $2 }\''
FRAMES = """#!/usr/bin/env python3
import sys
from apollo_sdk import run

def amounts(record, emit):
    shop, amount = record.rsplit(b",", 1)
    if amount == b"bad":
        sys.exit(f"no amount in {record!r}")
    emit(shop, amount)

run(map=amounts)
"""
COUNTING = """#!/usr/bin/env python3
import sys
seen = sum(1 for _ in sys.stdin)
sys.exit(seen > 5 and "too much at once")
"""


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoordinatorProcess]:
    with CoordinatorProcess(tmp_path_factory.mktemp("bad") / "coordinator", {}) as running:
        yield running


def submitted(coordinator: CoordinatorProcess, directory: Path, *options: object) -> str:
    given = ["--output", directory / "out", "--max-attempts", 3, *options]
    outcome = apollo("submit", *given, APOLLO_COORDINATOR=coordinator.url)
    assert outcome.status == 0, outcome
    return outcome.stdout.strip()


def bad(coordinator: CoordinatorProcess, *arguments: object) -> Outcome:
    return apollo("bad", *arguments, APOLLO_COORDINATOR=coordinator.url)


def listed(coordinator: CoordinatorProcess, job: str) -> list[dict[str, object]]:
    outcome = bad(coordinator, job, "--json")
    assert outcome.status == 0, outcome
    return outcome.documents


def program(directory: Path, text: str) -> Path:
    path = directory / "program.py"
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_job_with_one_percent_of_bad_records_ends_right(tmp_path: Path) -> None:
    lines = [f"bad {n}" if n % 100 == 37 else f"key{n % 7} {n}" for n in range(400)]
    source = tmp_path / "in.txt"
    source.write_text("".join(f"{line}\n" for line in lines))
    half = -(-source.stat().st_size // 2)
    options = ["--mapper", AWK, "--reducer", "builtin:sum", "--input", source, "--output", tmp_path / "out"]
    saved = tmp_path / "saved"
    outcome = apollo("run", *options, "--json", "--split-size", half, "--max-bad-records", 4, "--bad-records", saved)
    assert outcome.status == 0, outcome
    assert f"4 bad records were skipped: {saved} has all 4." in outcome.stderr

    good = subprocess.run(
        ["awk", '$1 != "bad" { sum[$1] += $2 } END { for (key in sum) print key "\\t" sum[key] }', source],
        capture_output=True,
        check=True,
    ).stdout
    assert sorted(read_parts(tmp_path / "out").splitlines()) == sorted(good.splitlines())

    found = subprocess.run(["grep", "-b", "^bad", source], capture_output=True, check=True, text=True).stdout
    expected = [(int(offset), line) for offset, _, line in (row.partition(":") for row in found.splitlines())]
    index = [json.loads(line) for line in (saved / "index.jsonl").read_text().splitlines()]
    assert [(record["offset"], (saved / record["file"]).read_text()) for record in index] == expected
    assert all((record["exitStatus"], record["input"]) == (3, source.as_uri()) for record in index)
    assert [record["stderr"] for record in index] == [f"cannot take {line.split()[1]}\n" for _, line in expected]

    counters = json.loads((tmp_path / "out/_SUCCESS").read_text())["counters"]["apollo"]
    assert (counters["bad_records"], counters["input_records"], outcome.job["badRecords"]) == (4, 396, 4)
    assert outcome.job["progress"]["maps"]["total"] == 2
    assert counters["bisection_runs"] <= 2 + 2 * 4 * math.ceil(math.log2(len(lines)))


def test_what_a_replay_keeps_of_a_skipping_attempt_runs_as_it_did(
    coordinator: CoordinatorProcess, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("a 1\nbad 2\nc 3\n")
    given = ["--mapper", AWK, "--reducers", 0, "--input", tmp_path / "in.txt"]
    job = submitted(coordinator, tmp_path, *given, "--max-bad-records", 1)
    assert coordinator.ended(job)["status"] == "succeeded"
    kept = tmp_path / "kept"
    again = apollo("replay", job, f"{job}-m-00000-2", "--keep", kept, APOLLO_COORDINATOR=coordinator.url)
    assert (again.status, "It succeeds here, too." in again.stderr) == (0, True)
    assert (kept / "input").read_bytes() == b"a 1\nc 3\n"
    assert subprocess.check_output([kept / "run.sh"]) == read_parts(tmp_path / "out")


def test_rows_of_csv_under_the_range_partitioner_for_a_program_that_speaks_frames(
    coordinator: CoordinatorProcess, tmp_path: Path
) -> None:
    """The sampler meets the bad row first, skips it, and keeps it for nobody."""
    rows = [f'"shop\n{n:02d}",{"bad" if n == 5 else n}\r\n' for n in range(20)]
    (tmp_path / "in.csv").write_bytes("".join(rows).encode())
    given = ["--mapper", program(tmp_path, FRAMES), "--reducer", "builtin:identity", "--reducers", 2]
    given += ["--input", tmp_path / "in.csv", "--input-format", "csv", "--partitioner", "range"]
    job = submitted(coordinator, tmp_path, *given, "--output-format", "jsonl", "--max-bad-records", 1)
    ended = coordinator.ended(job)
    assert (ended["status"], ended["badRecords"]) == ("succeeded", 1), ended
    keys = [json.loads(line)["key"] for line in read_parts(tmp_path / "out").splitlines()]
    assert keys == [f'"shop\n{n:02d}"' for n in range(20) if n != 5]  # the parts are in order, one after another
    (record,) = listed(coordinator, job)
    assert (record["offset"], record["preview"]) == (len("".join(rows[:5])), '"shop\n05",bad')
    assert "no amount in" in str(record["stderr"])


def test_an_object_of_many_that_kills_the_program(coordinator: CoordinatorProcess, tmp_path: Path) -> None:
    """A whole object is the record, and several share a map."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.gz").write_bytes(gzip.compress(name.encode() * 3))
    mapper = 'shell:input=$(cat); case $input in *bbb*) kill -SEGV $$;; esac; echo "$input"'
    given = [
        "--mapper",
        mapper,
        "--reducers",
        0,
        "--input",
        folder,
        "--input-format",
        "whole",
        "--split-policy",
        "packed",
    ]
    job = submitted(coordinator, tmp_path, *given, "--max-bad-records", 1)
    assert coordinator.ended(job)["status"] == "succeeded"
    assert read_parts(tmp_path / "out") == b"aaa\t\nccc\t\n"
    (record,) = listed(coordinator, job)
    assert (record["input"], record["offset"], record["signal"]) == ((folder / "b.gz").as_uri(), 0, 11)
    shown = bad(coordinator, job)
    assert "SIGSEGV" in shown.stdout
    causes = apollo("failures", job, APOLLO_COORDINATOR=coordinator.url)
    assert ["signal", "SIGSEGV"] in [line.split() for line in causes.stdout.splitlines()]
    assert bad(coordinator, job, 1, "--raw").stdout == "bbb"


def test_too_many_bad_records_fail_the_job_and_are_shown(coordinator: CoordinatorProcess, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("".join(f"bad {n}\n" for n in range(8)))
    given = ["--mapper", AWK, "--reducer", "builtin:sum", "--input", tmp_path / "in.txt", "--max-bad-records", 2]
    job = submitted(coordinator, tmp_path, *given)
    outcome = apollo("wait", job, APOLLO_COORDINATOR=coordinator.url)
    assert outcome.status == 1
    assert "the job's --max-bad-records of 2 allows no more" in outcome.stderr
    assert f"`apollo bad {job}`" in outcome.stderr
    assert [record["preview"] for record in listed(coordinator, job)] == ["bad 0", "bad 1", "bad 2"]
    assert not (tmp_path / "out").exists()
    outcome = bad(coordinator, job, "--save", tmp_path / "saved")
    assert (outcome.status, sorted(path.name for path in (tmp_path / "saved").iterdir())) == (
        0,
        ["00001", "00002", "00003", "index.jsonl"],
    )
    refused = bad(coordinator, job, "--save", tmp_path / "saved")
    assert (refused.status, "is not empty" in refused.stderr) == (1, True)
    again = apollo("replay", job, "m-0", "--attempt", 2, cwd=tmp_path, APOLLO_COORDINATOR=coordinator.url)
    assert (again.status, "It fails here in the same way: the program fails on more than 2" in again.stderr) == (
        1,
        True,
    )
    unknown = bad(coordinator, job, 4)
    assert (unknown.status, "no bad record 4" in unknown.stderr) == (1, True)


def test_a_program_that_fails_on_no_record_alone_says_so(coordinator: CoordinatorProcess, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("x\n" * 8)
    given = ["--mapper", program(tmp_path, COUNTING), "--reducer", "builtin:count", "--input", tmp_path / "in.txt"]
    job = submitted(coordinator, tmp_path, *given, "--max-bad-records", 2)
    ended = coordinator.ended(job)
    assert (ended["status"], ended["failure"]["reason"]) == ("failed", "program_exited")
    assert "fails on records only together" in ended["failure"]["message"]
    assert listed(coordinator, job) == []


def test_a_coordinator_that_is_killed_meanwhile_keeps_each_record_once(
    coordinator: CoordinatorProcess, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("".join(f"{'bad' if n % 8 == 3 else 'good'} {n}\n" for n in range(32)))
    slow = AWK.replace("shell:", "shell:sleep 0.05; ")
    given = ["--mapper", slow, "--reducer", "builtin:count", "--input", tmp_path / "in.txt", "--max-bad-records", 4]
    job = submitted(coordinator, tmp_path, *given)
    kept = coordinator.directory / "data/bad-records" / job
    wait_for(lambda: list(kept.glob("*/*")), "a record in quarantine")
    coordinator.kill()
    ended = coordinator.ended(job)
    assert (ended["status"], ended["badRecords"]) == ("succeeded", 4), ended
    assert [record["preview"] for record in listed(coordinator, job)] == [f"bad {n}" for n in range(3, 32, 8)]
    assert read_parts(tmp_path / "out") == b"good\t28\n"
