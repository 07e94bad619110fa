"""The program beside a job's own: it starts what the job names, as Hadoop does, and ends with its status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from apollo_client.hadoop.programs import hadoop_task


def run_task(
    directory: Path, command: list[str], *, failures: bool = True, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A map task whose mapper is `command`."""
    task = {"commands": {"map": command}, "files": [], "roots": [], "hdfs": "", "job": "job_1_0001"}
    task["variables"] = {"map": variables or {}, "reduce": {"X": "of the reducer"}}
    told = {"APOLLO_ROLE": "map", "APOLLO_PARTITION": "0", "APOLLO_ATTEMPT": "0", "APOLLO_INPUT": "file:///x"}
    told |= {"APOLLO_INPUT_OFFSET": "0", "APOLLO_INPUT_LENGTH": "1"}
    told[hadoop_task.PARAMETER] = json.dumps(task | {"failures": failures})
    return subprocess.run(
        [sys.executable, hadoop_task.__file__],
        cwd=directory,
        env=os.environ | told,
        input="a\nb\n",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("failures", [True, False])
def test_a_script_that_names_no_interpreter_is_the_shells(*, failures: bool, tmp_path: Path) -> None:
    script = tmp_path / "plain.sh"
    script.write_text('while read -r line; do echo "$1 $line"; done\n')
    script.chmod(0o755)

    done = run_task(tmp_path, ["plain.sh", "got"], failures=failures)

    assert (done.returncode, done.stdout, done.stderr) == (0, "got a\ngot b\n", "")


@pytest.mark.parametrize("failures", [True, False])
def test_a_program_that_cannot_be_started_fails_in_a_sentence(*, failures: bool, tmp_path: Path) -> None:
    done = run_task(tmp_path, ["nosuchprogram"], failures=failures)

    assert done.returncode == 127
    assert done.stderr == "Cannot run program 'nosuchprogram': No such file or directory\n"


@pytest.mark.parametrize(("failures", "status"), [(True, 3), (False, 0)])
def test_a_status_is_the_programs_or_of_no_account(*, failures: bool, status: int, tmp_path: Path) -> None:
    assert run_task(tmp_path, ["sh", "-c", "exit 3"], failures=failures).returncode == status


def test_variables_of_the_role_may_be_made_of_others(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho the tool sees $X\n")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "tool").rename(tmp_path / "bin/tool")

    done = run_task(tmp_path, ["tool"], variables={"X": "$mapreduce_job_id", "PATH": f"{tmp_path}/bin:$PATH"})

    assert (done.returncode, done.stdout) == (0, "the tool sees job_1_0001\n")
