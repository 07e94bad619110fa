"""Jobs of mrjob, unpatched, with `-r hadoop`: the example jobs that it brings give what its local runner gives."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hadoop.places import copy_inputs
from support.apollo_cli import SOURCES, environment
from support.hadoop.mrjob import ensure_mrjob

TIMEOUT_SECONDS = 280

pytestmark = pytest.mark.timeout(300)  # each step of a job calls the command a dozen times


@pytest.fixture(scope="session")
def mrjob_python() -> Path:
    return ensure_mrjob()


@pytest.fixture
def hadoop_binary(tmp_path: Path) -> Path:
    """As an installation lays it out: the command in `bin`, the jar that mrjob looks for below the directory above."""
    binary = tmp_path / "installed/bin/apollo-hadoop"
    binary.parent.mkdir(parents=True)
    paths = os.pathsep.join(SOURCES)
    binary.write_text(f'#!/bin/sh\nPYTHONPATH={paths} exec {sys.executable} -m apollo_client hadoop "$@"\n')
    binary.chmod(0o755)
    jar = tmp_path / "installed/share/apollo/hadoop-streaming-apollo.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    return binary


@pytest.mark.parametrize(
    ("example", "options"),
    [
        ("mr_word_freq_count", []),
        ("mr_most_used_word", []),
        ("mr_next_word_stats", []),
        ("mr_words_containing_u_freq_count", []),
        ("mr_grep", ["-e", "the"]),
        ("mr_count_lines_right", []),
        ("mr_text_classifier", ["--min-df", "1"]),
    ],
)
def test_example_gives_what_the_local_runner_gives(
    example: str, options: list[str], mrjob_python: Path, hadoop_binary: Path, tmp_path: Path
) -> None:
    copy_inputs(tmp_path)
    inputs = ["input/books/sea.txt", "input/books/wood.txt"]

    here = _run(mrjob_python, example, [*options, "-r", "local", *inputs], tmp_path)
    hadoop = ["-r", "hadoop", "--hadoop-bin", str(hadoop_binary), *options, *inputs]
    there = _run(mrjob_python, example, hadoop, tmp_path)

    # A line without a tab is a key with an empty value: Hadoop, too, writes the tab behind it.
    assert sorted(line.removesuffix("\t") for line in there.stdout.splitlines()) == sorted(here.stdout.splitlines())
    assert not list((tmp_path / "hdfs").rglob("part-*")), "mrjob removes what it made"


def test_a_link_to_the_command_does_where_a_jar_is_named(
    mrjob_python: Path, hadoop_binary: Path, tmp_path: Path
) -> None:
    copy_inputs(tmp_path)
    link = tmp_path / "linked/hadoop"
    link.parent.mkdir()
    link.symlink_to(hadoop_binary)
    words = (tmp_path / "input/books/sea.txt").read_text().split()

    options = ["-r", "hadoop", "--hadoop-bin", str(link), "--hadoop-streaming-jar", "hadoop-streaming.jar"]
    done = _run(mrjob_python, "mr_wc", [*options, "input/books/sea.txt"], tmp_path)

    assert f'"words"\t{len(words)}' in done.stdout.splitlines()


def test_job_with_all_that_it_may_bring_gives_what_the_local_runner_gives(
    mrjob_python: Path, hadoop_binary: Path, tmp_path: Path
) -> None:
    copy_inputs(tmp_path)
    games = [{"player": f"p{number % 7}", "score": number * 37 % 101} for number in range(200)]
    (tmp_path / "games.jsonl").write_text("".join(f"{json.dumps(game)}\n" for game in games))
    (tmp_path / "names.txt").write_text("p1 ann\np2 bob\n")
    options = ["--names", "names.txt", "--least", "20", "--archive", "input/table.tar.gz#table"]
    options += ["--setup", "echo setup > made.txt", "--cmdenv", "GREETING=hello", "games.jsonl"]

    here, there = (
        _python(mrjob_python, ["jobs/scores.py", *runner, *options], tmp_path)
        for runner in (["-r", "local"], ["-r", "hadoop", "--hadoop-bin", str(hadoop_binary)])
    )

    assert len(here.stdout.splitlines()) == 6
    assert sorted(there.stdout.splitlines()) == sorted(here.stdout.splitlines())


def test_jobs_learn_the_name_of_their_input(mrjob_python: Path, hadoop_binary: Path, tmp_path: Path) -> None:
    copy_inputs(tmp_path)

    options = ["-r", "hadoop", "--hadoop-bin", str(hadoop_binary)]
    done = _run(mrjob_python, "mr_count_lines_by_file", [*options, "input/books/sea.txt"], tmp_path)

    path, count = done.stdout.rstrip().split("\t")
    assert path.startswith('"hdfs:///')
    assert path.endswith('/sea.txt"')
    assert count == "5"


def test_failing_job_is_told_with_its_traceback(mrjob_python: Path, hadoop_binary: Path, tmp_path: Path) -> None:
    copy_inputs(tmp_path)

    options = ["-r", "hadoop", "--hadoop-bin", str(hadoop_binary), "-D", "mapreduce.map.maxattempts=1"]
    done = _run(mrjob_python, "mr_boom", [*options, "input/books/sea.txt"], tmp_path, status=1)

    assert "Probable cause of failure" in done.stderr
    assert "BOOM" in done.stderr


def _run(
    python: Path, example: str, arguments: list[str], directory: Path, status: int = 0
) -> subprocess.CompletedProcess[str]:
    return _python(python, ["-m", f"mrjob.examples.{example}", *arguments], directory, status)


def _python(python: Path, arguments: list[str], directory: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [python, *arguments],
        cwd=directory,
        env=environment(HOME=str(directory), APOLLO_HDFS=str(directory / "hdfs"), PYTHONPATH=""),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done
