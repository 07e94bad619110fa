"""`hadoop fs` on files and on a real S3 server. Words and statuses are those that Hadoop 3.4.2's FsShell gives."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hadoop.running import hadoop, streaming
from support.apollo_cli import Outcome
from support.seaweedfs import S3Server

Shell = Callable[..., Outcome]


@pytest.fixture
def fs(tmp_path: Path) -> Shell:
    (tmp_path / "data/sub").mkdir(parents=True)
    (tmp_path / "data/1").write_text("a")
    (tmp_path / "data/2").write_text("b\n")
    (tmp_path / "data/sub/3").write_text("c\n")
    return lambda *arguments: hadoop("fs", *map(str, arguments), cwd=tmp_path)


def test_ls_counts_what_a_directory_holds(fs: Shell) -> None:
    lines = fs("-ls", "data").stdout.splitlines()

    assert lines[0] == "Found 3 items"
    assert re.fullmatch(r"-rw-r--r--   1 \S+ \S+          1 \d{4}-\d\d-\d\d \d\d:\d\d data/1", lines[1])
    assert re.fullmatch(r"drwxr-xr-x   - \S+ \S+ +\d+ \d{4}-\d\d-\d\d \d\d:\d\d data/sub", lines[3])


def test_ls_of_files_and_of_everything_below(fs: Shell, tmp_path: Path) -> None:
    assert [line.split()[-1] for line in fs("-ls", "data/1", "data/2").stdout.splitlines()] == ["data/1", "data/2"]
    below = [line.split()[-1] for line in fs("-ls", "-R", f"file://{tmp_path}/data").stdout.splitlines()]
    assert below == [f"file://{tmp_path}/data/{name}" for name in ("1", "2", "sub", "sub/3")]
    assert fs("-ls", "-C", "data/[12]").stdout.splitlines() == ["data/1", "data/2"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ("-ls nosuch", 1, "ls: `nosuch': No such file or directory\n"),
        ("-cat nosuch", 1, "cat: `nosuch': No such file or directory\n"),
        ("-cat data/sub", 1, "cat: `data/sub': Is a directory\n"),
        ("-mkdir data", 1, "mkdir: `data': File exists\n"),
        ("-rm nosuch", 1, "rm: `nosuch': No such file or directory\n"),
        ("-rm -f nosuch", 0, ""),
        ("-rm data/sub", 1, "rm: `data/sub': Is a directory\n"),
        ("-put nosuch data", 1, "put: `nosuch': No such file or directory\n"),
        ("-get data/1 data/2", 1, "get: `data/2': File exists\n"),
        ("-get data/1 data", 1, "get: `data/1': "),
        ("-ls -z", 255, "-ls: Illegal option -z\nUsage: hadoop fs"),
        ("-mkdir", 255, "-mkdir: Not enough arguments: expected 1 but got 0\nUsage: hadoop fs"),
        ("-foo", 255, "-foo: Unknown command\nUsage: hadoop fs"),
        ("", 255, "Usage: hadoop fs"),
    ],
)
def test_what_goes_wrong_is_told_as_hadoop_tells_it(fs: Shell, arguments: str, status: int, words: str) -> None:
    outcome = fs(*arguments.split())

    assert outcome.status == status
    assert outcome.stderr.startswith(words)
    assert outcome.stdout == ""


def test_mkdir_needs_p_for_what_is_above(fs: Shell, tmp_path: Path) -> None:
    above = fs("-mkdir", "x/y")

    assert above.status == 1
    assert above.stderr == f"mkdir: `file:{tmp_path}/x': No such file or directory\n"
    assert fs("-mkdir", "-p", "x/y").status == 0
    assert (tmp_path / "x/y").is_dir()


def test_put_get_and_rm(fs: Shell, tmp_path: Path) -> None:
    assert fs("-put", "data/1", "data/sub").status == 0
    assert (tmp_path / "data/sub/1").read_text() == "a"
    assert fs("-put", "data/1", "data/sub").stderr == "put: `data/sub/1': File exists\n"
    assert fs("-put", "-f", "data/2", "data/sub/1").status == 0
    assert fs("-copyToLocal", "data", "copy").status == 0
    assert (tmp_path / "copy/sub/1").read_text() == "b\n"
    assert fs("-rm", "data/sub/*").stdout == "Deleted data/sub/1\nDeleted data/sub/3\n"
    assert fs("-rm", "-r", "-f", "-skipTrash", "data").stdout == "Deleted data\n"
    assert not (tmp_path / "data").exists()


def test_getmerge_takes_files_in_the_order_of_their_names(fs: Shell, tmp_path: Path) -> None:
    assert fs("-getmerge", "data", "merged").status == 0
    assert fs("-getmerge", "-nl", "data", "apart").status == 0
    assert (tmp_path / "merged").read_text() == "ab\n"
    assert (tmp_path / "apart").read_text() == "a\nb\n\n"


def test_text_shows_what_is_compressed(fs: Shell, tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))

    assert fs("-text", "x.gz", "data/2").stdout == "one\ntwo\nb\n"


@pytest.mark.parametrize(
    ("option", "path", "status"),
    [
        ("-e", "data", 0),
        ("-e", "nosuch", 1),
        ("-d", "data", 0),
        ("-d", "data/1", 1),
        ("-f", "data/1", 0),
        ("-z", "data/1", 1),
        ("-s", "data/1", 0),
    ],
)
def test_test_answers_by_its_status(fs: Shell, option: str, path: str, status: int) -> None:
    outcome = fs("-test", option, path)

    assert (outcome.status, outcome.stdout, outcome.stderr) == (status, "", "")


def test_a_script_works_on_hdfs_paths_in_a_bucket(tmp_path: Path, s3_server: S3Server, s3_bucket: str) -> None:
    """mkdir, put, a job, ls, cat, getmerge, rm: as a script does it, with `hdfs:` in a bucket."""
    env = s3_server.environment | {"APOLLO_HDFS": f"s3://{s3_bucket}/lake"}
    (tmp_path / "in.txt").write_text("b\na\nb\n")

    def run(*arguments: str) -> Outcome:
        outcome = hadoop("fs", *arguments, cwd=tmp_path, **env)
        assert outcome.status == 0, outcome.stderr
        return outcome

    run("-mkdir", "-p", "hdfs:///user/me/in")
    run("-put", "in.txt", "hdfs:///user/me/in")
    job = streaming(
        "-input /user/me/in -output hdfs:///user/me/out -mapper cat -reducer 'uniq -c' -numReduceTasks 2",
        tmp_path,
        **env,
    )
    assert job.status == 0, job.stderr
    listed = [line.split()[-1] for line in run("-ls", "/user/me/out").stdout.splitlines()[1:]]
    assert listed == [f"/user/me/out/{name}" for name in ("_SUCCESS", "part-00000", "part-00001")]
    assert sorted(run("-cat", "hdfs:///user/me/out/part-*").stdout.splitlines()) == ["      1 a\t", "      2 b\t"]
    run("-getmerge", "/user/me/out/", "all.txt")
    run("-rm", "-r", "/user/me")
    left = s3_server.client().list_objects_v2(Bucket=s3_bucket).get("Contents", [])
    assert [entry["Key"] for entry in left if not entry["Key"].endswith("/")] == []
