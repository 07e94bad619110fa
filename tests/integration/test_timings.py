"""Where the time of real attempts goes: a slow program is named, and steps add up to no more than attempts took."""

import json
from pathlib import Path

from apollo_common.timings import Step
from support.apollo_cli import apollo
from support.coordinator_process import CoordinatorProcess

SLEEP_MS = 2_000
ROUNDING_MS = len(Step)  # each step is told in whole milliseconds


def test_a_slow_program_is_told_from_a_slow_apollo(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("to\nbe\nto\n" * 1000)
    with CoordinatorProcess(tmp_path / "up", {}, workers=1) as up:
        url = f"http://127.0.0.1:{up.port}"
        submitted = apollo(
            "submit", "--wait", "--mapper", f"shell:sleep {SLEEP_MS // 1000}; cat", "--reducer", "builtin:count",
            "--input", tmp_path / "in.txt", "--output", tmp_path / "out", "--json", "--coordinator", url,
        )  # fmt: skip
        assert submitted.status == 0, submitted
        job = submitted.job["id"]
        spent = json.loads(apollo("job", job, "--timings", "--json", "--coordinator", url).stdout.splitlines()[0])
        table = apollo("job", job, "--timings", "--coordinator", url).stdout
        attempts = [
            attempt
            for task in up.request("GET", f"/jobs/{job}/tasks")
            for attempt in up.request("GET", f"/tasks/{task['id']}/attempts")
        ]
    assert spent["timings"]["mapper"]["program"] >= SLEEP_MS
    for attempt in attempts:
        assert 0 < sum(attempt["timings"].values()) <= attempt["endTime"] - attempt["startTime"] + ROUNDING_MS
    for phase in ("mapper", "reducer"):
        of_phase = [attempt["timings"] for attempt in attempts if f"-{phase[0]}-" in attempt["id"]]
        assert spent["timings"][phase] == {step: sum(each[step] for each in of_phase) for step in Step}
    assert f"{job}-m-00000-0" in table
    assert "program" in table.splitlines()[-2]


def test_a_run_here_tells_in_the_end_where_its_time_went(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("to\nbe\n")
    options = ["--reducer", "builtin:count", "--input", "in.txt", "--output", "out", "--timings"]
    done = apollo("run", "--mapper", "shell:sleep 1; cat", *options, cwd=tmp_path)
    assert done.status == 0, done
    assert done.stdout.splitlines()[0].split() == ["STEP", "MAP", "SHARE", "REDUCE", "SHARE", "WHAT"]
    assert "the program works, or the built-in in its place" in done.stdout
