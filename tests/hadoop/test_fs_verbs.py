"""`hadoop fs` on files and on a real S3 server. Words and statuses are those that Hadoop 3.4.2's FsShell gives."""

import asyncio
import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from apollo_client.hadoop.fs import run_fs
from hadoop.running import hadoop, streaming
from support.apollo_cli import Outcome
from support.seaweedfs import S3Server

Shell = Callable[..., Outcome]
MANIFEST = '{\n "job": "j"\n}\n'


@pytest.fixture
def fs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APOLLO_HDFS", raising=False)
    (tmp_path / "data/sub").mkdir(parents=True)
    (tmp_path / "data/1").write_text("a")
    (tmp_path / "data/2").write_text("b\n")
    (tmp_path / "data/sub/3").write_text("c\n")

    def call(*arguments: object) -> Outcome:
        status = asyncio.run(run_fs([*map(str, arguments)]))
        return Outcome(status, *capfd.readouterr())

    return call


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
        ("-mkdir data/1", 1, "mkdir: `data/1': Is not a directory\n"),
        ("-put data/1 no/x", 1, "put: `no/x': No such file or directory: `file:/"),
        ("-touchz no/x", 1, "touchz: `no/x': No such file or directory: `file:/"),
        ("-put nosuch data/1", 1, "put: `data/1': File exists\n"),
        ("-cp data data/x", 1, "cp: `data' to `data/x': is a subdirectory of itself\n"),
        ("-mv data/1 data/1", 1, "mv: `data/1': File exists\n"),
        ("-getmerge data data/sub", 1, "getmerge: `data/sub': Is a directory\n"),
        ("-rmr nosuch", 1, "rmr: DEPRECATED: Please use '-rm -r' instead.\nrmr: `nosuch': No such file or directory\n"),
        ("-tail data", 1, "tail: `data': Is a directory\n"),
        ("-test -e nosuch*", 1, "test: `nosuch*': No such file or directory\n"),
        ("-test data", 255, "-test: No test flag given\nUsage: hadoop fs"),
        ("-test -e -d data", 255, "-test: Only one test flag is allowed\nUsage: hadoop fs"),
        ("-stat %x data", 255, "-stat: Apollo does not know %x"),
        ("-chmod 755 data", 255, "-chmod: Apollo does not have this command of Hadoop's\nUsage: hadoop fs"),
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
    assert fs("-getmerge", "data", "new/place/merged").status == 0


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Of a job: two parts and their marker."""
    folder = tmp_path / "out"
    folder.mkdir()
    for name, content in (("_SUCCESS", MANIFEST), ("part-00000", "a\t1\n"), ("part-00001", "b\t2\n")):
        (folder / name).write_text(content)
    return folder


def test_a_manifest_is_never_among_rows(fs: Shell, output: Path, tmp_path: Path) -> None:
    rows = "a\t1\nb\t2\n"

    assert fs("-cat", "out/*").stdout == rows
    assert fs("-text", f"file://{output}/*").stdout == rows
    for name, arguments, content in (
        ("whole", ["out"], rows),
        ("matched", ["out/*"], rows),
        ("lines", ["-nl", "out"], "\na\t1\n\nb\t2\n\n"),
        ("full", ["-nl", "-skip-empty-file", "out"], "a\t1\n\nb\t2\n\n"),
    ):
        assert fs("-getmerge", *arguments, name).status == 0
        assert (tmp_path / name).read_text() == content


def test_a_marker_that_other_programs_will_read_is_empty(fs: Shell, output: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()

    assert fs("-get", "out", "copy").status == 0
    assert fs("-copyToLocal", "out/*", "there").status == 0

    for folder in (tmp_path / "copy", tmp_path / "there"):
        assert {path.name: path.read_text() for path in folder.iterdir()} == {
            "_SUCCESS": "",
            "part-00000": "a\t1\n",
            "part-00001": "b\t2\n",
        }


def test_a_manifest_is_there_for_who_names_it(fs: Shell, output: Path, tmp_path: Path) -> None:
    assert fs("-cat", "out/_SUCCESS").stdout == MANIFEST
    assert fs("-get", "out/_SUCCESS", "named").status == 0
    assert (tmp_path / "named").read_text() == MANIFEST


def test_copies_that_stay_in_the_store_keep_the_manifest(fs: Shell, output: Path, tmp_path: Path) -> None:
    """So that they are outputs of Apollo's as before."""
    (tmp_path / "moved").mkdir()

    assert fs("-cp", "out", "copied").status == 0
    assert fs("-put", "out", "put").status == 0
    assert fs("-mv", "out/*", "moved").status == 0

    for name in ("copied", "put", "moved"):
        assert (tmp_path / name / "_SUCCESS").read_text() == MANIFEST
    assert list(output.iterdir()) == []


def test_text_shows_what_is_compressed(fs: Shell, tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))

    assert fs("-text", "x.gz", "data/2").stdout == "one\ntwo\nb\n"


@pytest.mark.parametrize("path", [[], ["."]])
def test_what_is_here_goes_by_bare_names(fs: Shell, path: list[str]) -> None:
    def names(*arguments: str) -> list[str]:
        return [line.split()[-1] for line in fs(*arguments, *path).stdout.splitlines()]

    assert names("-ls")[1:] == ["data"]
    assert names("-ls", "-R") == ["data", "data/1", "data/2", "data/sub", "data/sub/3"]
    assert names("-du") == ["data"]


def test_ls_orders_by_time_size_and_backwards(fs: Shell, tmp_path: Path) -> None:
    for name, seconds in (("1", 30), ("2", 10), ("sub", 20)):
        os.utime(tmp_path / "data" / name, (seconds, seconds))

    def listed(*options: str) -> list[str]:
        return fs("-ls", "-C", *options, "data").stdout.split()

    assert listed("-t") == ["data/1", "data/sub", "data/2"]
    assert listed("-t", "-r") == ["data/2", "data/sub", "data/1"]
    assert listed("-r") == ["data/sub", "data/2", "data/1"]
    assert [path for path in listed("-S") if path != "data/sub"] == ["data/2", "data/1"]


def test_patterns_may_begin_at_the_root(fs: Shell, tmp_path: Path) -> None:
    top = tmp_path.parts[1]

    assert f"/{top}" in fs("-ls", "-C", "-d", f"/{top[:-1]}?").stdout.splitlines()
    below = "/".join(tmp_path.parts[2:])
    assert fs("-cat", f"/[{top[0]}]{top[1:]}/{below}/data/1").stdout == "a"
    assert f"/{top}" in fs("-ls", "-C", "/").stdout.splitlines()


def test_head_and_tail_show_a_kib(fs: Shell, tmp_path: Path) -> None:
    (tmp_path / "many").write_text("".join(f"{number}\n" for number in range(3000)))
    content = (tmp_path / "many").read_text()

    assert fs("-head", "many").stdout == content[:1024]
    assert fs("-tail", "many").stdout == content[-1024:]
    assert fs("-tail", "data/1").stdout == "a"


def test_stat_tells_what_its_format_asks_for(fs: Shell, tmp_path: Path) -> None:
    os.utime(tmp_path / "data/2", (1_600_000_000, 1_600_000_000))
    (tmp_path / "data/2").chmod(0o640)

    assert fs("-stat", "data/2").stdout == "2020-09-13 12:26:40\n"
    asked = fs("-stat", "%n: %F, %b of %r, %a %A %Y %%", "data/2", "data/sub").stdout.splitlines()
    assert asked[0] == "2: regular file, 2 of 1, 640 rw-r----- 1600000000000 %"
    assert asked[1].startswith("sub: directory, ")


def test_count_tells_directories_files_and_bytes(fs: Shell) -> None:
    assert fs("-count", "-v", "data").stdout.splitlines() == [
        "   DIR_COUNT   FILE_COUNT       CONTENT_SIZE PATHNAME",
        "           2            3                  5 data",
    ]


def test_files_move_from_this_machine(fs: Shell, tmp_path: Path) -> None:
    assert fs("-moveFromLocal", "data/1", "data/9").status == 0
    assert (tmp_path / "data/9").read_text() == "a"
    assert not (tmp_path / "data/1").exists()


def test_help_is_no_wrong_usage(fs: Shell) -> None:
    outcome = fs("-help")

    assert (outcome.status, outcome.stderr) == (0, "")
    assert "[-ls " in outcome.stdout


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
        ("-e", "data/*", 0),
        ("-f", "data/[12]", 0),
        ("-f", "data/*", 1),
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
    assert run("-tail", "hdfs:///user/me/in/*").stdout == "b\na\nb\n"
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
    assert sorted((tmp_path / "all.txt").read_text().splitlines()) == ["      1 a\t", "      2 b\t"]
    run("-rm", "-r", "/user/me")
    left = s3_server.client().list_objects_v2(Bucket=s3_bucket).get("Contents", [])
    assert [entry["Key"] for entry in left if not entry["Key"].endswith("/")] == []
