"""A straggler among real workers: its backup attempt wins, as a map and as a reduce that uploads; nothing is left."""

from pathlib import Path

import pytest

from support.apollo_cli import apollo
from support.corpus import read_parts

LINES = 200
PROGRAM = """#!/usr/bin/env python3
import os, sys, time
stuck = os.environ["APOLLO_TASK_ID"].endswith("{task}") and os.environ["APOLLO_ATTEMPT"].rpartition("-")[2] == "0"
for line in sys.stdin:
    if stuck:
        time.sleep(60)
    sys.stdout.write(line if "\\t" in line else line.rstrip() + "\\t1\\n")
"""


@pytest.mark.parametrize("phase", ["m", "r"])
def test_a_stuck_attempt_is_overtaken_by_its_backup(tmp_path: Path, phase: str):
    for number in range(3):
        lines = "".join(f"{number}-{line}\n" for line in range(LINES))
        (tmp_path / f"{number}.txt").write_text(lines)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(task=f"-{phase}-00001"))
    programs = ("--mapper", program, "--reducer", program, "--protocol", "text", "--reducers", 3)
    out = tmp_path / "out"
    done = apollo(
        "run", "--json", *programs, "--input", f"{tmp_path}/*.txt", "--output", out, "--workers", 4,
        "--split-size", LINES * 6,
    )  # fmt: skip
    assert done.status == 0, done.stderr
    assert (done.job["speculativeAttempts"], done.job["speculativeWon"]) == (1, 1)
    started = [event["attempt"] for event in done.documents if event.get("speculative")]
    assert [attempt.partition("-")[2] for attempt in started] == [f"{phase}-00001-1"]
    expected = [f"{number}-{line}\t1".encode() for number in range(3) for line in range(LINES)]
    assert sorted(read_parts(out).splitlines()) == sorted(expected)
    assert sorted(entry.name for entry in out.iterdir()) == ["_SUCCESS", *(f"part-r-{n:05d}" for n in range(3))]
