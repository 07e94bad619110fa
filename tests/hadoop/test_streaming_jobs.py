"""Jobs of Hadoop Streaming, unchanged: byte for byte, part by part, what the real Hadoop Streaming gives."""

import gzip
from pathlib import Path

import pytest

from hadoop.cases import CASES, Case
from hadoop.places import EXPECTED, copy_inputs
from hadoop.running import hadoop, streaming


def parts_of(output: Path) -> list[bytes]:
    contents = []
    for part in sorted(output.glob("part-*")):
        content = part.read_bytes()
        contents.append(gzip.decompress(content) if part.suffix == ".gz" else content)
    return contents


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gives_what_hadoop_gives(case: Case, tmp_path: Path) -> None:
    copy_inputs(tmp_path)

    outcome = streaming(case.arguments, tmp_path)

    assert outcome.status == 0, outcome.stderr
    assert parts_of(tmp_path / "out") == parts_of(EXPECTED / case.name)
    assert (tmp_path / "out/_SUCCESS").exists()


def test_tells_of_the_job_in_hadoops_words(tmp_path: Path) -> None:
    copy_inputs(tmp_path)

    outcome = streaming(
        "-D mapred.reduce.tasks=1 -input input/logs -output out -mapper status_bytes.awk -reducer sum.awk "
        "-file jobs/status_bytes.awk -file jobs/sum.awk",
        tmp_path,
    )

    lines = outcome.stderr.splitlines()
    assert any("INFO mapreduce.Job: Running job: job_" in line for line in lines)
    assert any(line.endswith("completed successfully") for line in lines)
    assert "\t\tMap input records=8" in lines
    requests = lines.index("\tRequests")
    assert lines[requests + 1 : requests + 3] == ["\t\tGET=7", "\t\tPOST=1"]
    assert lines[-1].endswith("INFO streaming.StreamJob: Output directory: out")


def test_a_program_that_fails_fails_the_command(tmp_path: Path) -> None:
    copy_inputs(tmp_path)

    outcome = streaming(
        "-D mapreduce.map.maxattempts=1 -input input/logs/monday.log -output out -mapper 'ls /nothing/here'",
        tmp_path,
    )

    assert outcome.status == 1
    assert "Status : FAILED" in outcome.stderr
    assert "Error: the map program `ls /nothing/here` ended with exit status 2" in outcome.stderr
    assert outcome.stderr.endswith("ERROR streaming.StreamJob: Job not successful!\nStreaming Command Failed!\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ("-input nosuch -output out -mapper cat", 5, "Error Launching job : Input path does not exist: file:/"),
        ("-input 'input/*.nosuch' -output out -mapper cat", 5, "matches 0 files"),
        ("-input input/books -output out -mapper cat", 5, "Not a file: file:/"),
        ("-input input/logs -output input -mapper cat", 5, "already exists"),
        ("-input input/logs -output out -mapper cat -files nosuch.py", 1, "Unrecognized option: -files"),
        ("-files nosuch.py -input input/logs -output out -mapper cat", 5, "File nosuch.py does not exist"),
        ("-input input/logs -output out -mapper cat -wrong x", 1, "Unrecognized option: -wrong"),
        ("-output out -mapper cat", 1, "Required argument: -input <name>"),
        ("-input input/logs -output out -mapper cat -inputformat SequenceFileAsTextInputFormat", 1, "-inputformat Seq"),
        ("-D mapreduce.no.such=1 -input input/logs -output out -mapper cat", 1, "-D mapreduce.no.such=1"),
        (
            "-D stream.map.input.ignoreKey=true -input x -output y -mapper cat -inputformat KeyValueTextInputFormat",
            1,
            "-D stream.map.input.ignoreKey=true",
        ),
        (
            "-input input/logs -output out -mapper cat -numReduceTasks 2 -partitioner TotalOrderPartitioner",
            1,
            "-partitioner TotalOrderPartitioner",
        ),
        ("-input input/logs -output out -mapper org.example.Mapper", 1, "org.example.Mapper"),
        (
            f"-D stream.map.output.field.separator={'x' * 33} -input input/logs -output out -mapper cat",
            1,
            f"ERROR streaming.StreamJob: -D stream.map.output.field.separator={'x' * 33}: This is too long.",
        ),
    ],
)
def test_names_what_cannot_be_done(arguments: str, status: int, words: str, tmp_path: Path) -> None:
    copy_inputs(tmp_path)

    outcome = streaming(arguments, tmp_path)

    assert outcome.status == status
    assert words in outcome.stderr
    assert outcome.stderr.endswith("Streaming Command Failed!\n")
    assert not (tmp_path / "out").exists()


def test_other_jars_are_refused(tmp_path: Path) -> None:
    outcome = hadoop("jar", "hadoop-mapreduce-examples.jar", "wordcount", "in", "out", cwd=tmp_path)

    assert outcome.status == 255
    assert "hadoop-mapreduce-examples.jar" in outcome.stderr


def test_version_comes_first(tmp_path: Path) -> None:
    outcome = hadoop("version", cwd=tmp_path)

    assert outcome.status == 0
    assert outcome.stdout.splitlines()[0] == "Hadoop 3.4.2"


def test_mapred_streaming_is_the_same(tmp_path: Path) -> None:
    outcome = hadoop(
        "--config", "/etc/hadoop", "streaming", "-input", "nosuch", "-output", "o", "-mapper", "cat", cwd=tmp_path
    )

    assert outcome.status == 5
    assert "Input path does not exist: file:/" in outcome.stderr


def test_an_unknown_command_is_named(tmp_path: Path) -> None:
    outcome = hadoop("distcp", "a", "b", cwd=tmp_path)

    assert outcome.status == 255
    assert "distcp" in outcome.stderr
