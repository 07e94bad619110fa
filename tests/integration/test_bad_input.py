"""Bad input gets a sentence that names the thing, the right exit status, and leaves the output as it was."""

import lzma
import os
import stat
from pathlib import Path
from textwrap import dedent

import pytest

from support.apollo_cli import Outcome, apollo
from support.corpus import parts, read_parts


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.txt"
    path.write_text("to be or not to be\n" * 100)
    return path


def program(path: Path, text: str) -> Path:
    path.write_text(dedent(text).lstrip())
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def python_mapper(tmp_path: Path, body: str) -> Path:
    """A frames program whose map function has this body."""
    lines = "\n".join("    " + line for line in dedent(body).strip().splitlines())
    head = "#!/usr/bin/env python3\nimport time\nfrom apollo_sdk import run\n\ndef map(record, emit):"
    source = f"{head}\n{lines}\n\nrun(map=map)\n"
    return program(tmp_path / "mapper.py", source)


def run(tmp_path: Path, mapper: object, *options: object, source: object | None = None, **env: str) -> Outcome:
    return apollo(
        "run", "--json", "--mapper", mapper, "--reducer", "builtin:sum",
        "--input", source or tmp_path / "words.txt", "--output", tmp_path / "out", "--max-attempts", 2, *options, **env,
    )  # fmt: skip


def assert_failed(outcome: Outcome, *wanted: str) -> None:
    assert outcome.status == 1, outcome
    assert "Traceback" not in outcome.stderr, outcome.stderr
    for text in wanted:
        assert text in outcome.stderr + outcome.stdout, outcome


def assert_nothing_written(tmp_path: Path) -> None:
    left = list((tmp_path / "out").rglob("*")) if (tmp_path / "out").exists() else []
    assert left == []


@pytest.mark.usefixtures("words")
class TestPrograms:
    def test_one_that_crashes_at_once(self, tmp_path: Path) -> None:
        mapper = program(tmp_path / "crash.sh", "#!/bin/sh\necho 'no such luck' >&2\nexit 3\n")
        outcome = run(tmp_path, mapper)
        assert_failed(outcome, "3", "no such luck")
        assert outcome.job["failure"]["reason"] == "program_exited"
        assert outcome.job["failure"]["exitStatus"] == 3
        assert_nothing_written(tmp_path)

    def test_one_that_is_killed_by_a_signal(self, tmp_path: Path) -> None:
        mapper = program(tmp_path / "killed.sh", "#!/bin/sh\nkill -SEGV $$\n")
        outcome = run(tmp_path, mapper)
        assert_failed(outcome)
        assert outcome.job["failure"]["signal"] == 11

    def test_one_that_ends_well_without_reading(self, tmp_path: Path) -> None:
        outcome = run(tmp_path, "shell:true")
        assert_failed(outcome)
        assert "give --ignore-input if that is meant" in outcome.stderr
        assert outcome.job["failure"]["reason"] == "program_read_nothing"

    def test_one_that_reads_only_some_succeeds(self, tmp_path: Path) -> None:
        outcome = run(tmp_path, "shell:head -n 1 | tr ' ' '\\n' | sed 's/$/\t1/'")
        assert outcome.status == 0, outcome
        assert read_parts(tmp_path / "out") == b"be\t2\nnot\t1\nor\t1\nto\t2\n"

    def test_one_that_writes_rubbish_on_the_socket(self, tmp_path: Path) -> None:
        mapper = program(
            tmp_path / "rubbish.py",
            """
            #!/usr/bin/env python3
            # apollo-artifact:frames/1
            import os, socket
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(os.environ["APOLLO_SOCKET"])
            connection.recv(1)
            connection.sendall(b"GET / HTTP/1.1\\r\\nHost: example\\r\\n\\r\\n" * 100)
            connection.recv(1 << 20)
            """,
        )
        outcome = run(tmp_path, mapper)
        assert_failed(outcome)
        assert outcome.job["failure"]["reason"] == "program_protocol_error"

    def test_one_that_never_answers(self, tmp_path: Path) -> None:
        mapper = python_mapper(tmp_path, "time.sleep(600)")
        job_file = tmp_path / "job.yaml"
        job_file.write_text("timeout-seconds: 2\n")
        outcome = run(tmp_path, mapper, "--job-file", job_file, "--max-attempts", 1)
        assert_failed(outcome, "2 s")
        assert outcome.job["failure"]["reason"] == "program_timeout"

    def test_one_that_emits_a_value_beyond_the_budget(self, tmp_path: Path) -> None:
        mapper = python_mapper(tmp_path, "emit(b'key', b'x' * 100_000_000)")
        outcome = run(tmp_path, mapper)
        assert_failed(outcome)
        assert "raise --memory-budget" in outcome.stderr
        assert outcome.job["failure"]["reason"] == "record_too_large"

    def test_one_for_another_machine(self, tmp_path: Path) -> None:
        header = bytearray(64)
        header[:7] = b"\x7fELF\x02\x01\x01"
        header[16:20] = b"\x02\x00\xf7\x00"  # an executable for BPF
        path = tmp_path / "alien"
        path.write_bytes(header)
        path.chmod(0o755)
        outcome = run(tmp_path, path)
        assert_failed(outcome, "alien")

    def test_an_empty_one(self, tmp_path: Path) -> None:
        outcome = run(tmp_path, program(tmp_path / "empty", ""))
        assert_failed(outcome, "empty")

    def test_one_that_does_not_exist(self, tmp_path: Path) -> None:
        outcome = run(tmp_path, tmp_path / "nowhere.py")
        assert outcome.status in (1, 2)
        assert "nowhere.py" in outcome.stderr

    def test_a_sum_of_words(self, tmp_path: Path) -> None:
        outcome = run(tmp_path, "shell:sed 's/ /\t/'")
        assert_failed(outcome, "be or not to be")
        assert outcome.job["failure"]["reason"] == "invalid_value"


class TestInputAndOutput:
    def test_an_empty_input_gives_empty_parts(self, tmp_path: Path) -> None:
        (tmp_path / "words.txt").touch()
        outcome = run(tmp_path, "shell:cat", "--reducers", 3)
        assert outcome.status == 0, outcome
        assert [(part.name, part.stat().st_size) for part in parts(tmp_path / "out")] == [
            ("part-r-00000", 0), ("part-r-00001", 0), ("part-r-00002", 0),
        ]  # fmt: skip
        assert (tmp_path / "out" / "_SUCCESS").is_file()

    def test_a_missing_input(self, tmp_path: Path) -> None:
        outcome = run(tmp_path, "shell:cat", source=tmp_path / "absent.txt")
        assert_failed(outcome, "absent.txt; check --input")
        assert_nothing_written(tmp_path)

    def test_an_input_that_cannot_be_decompressed(self, tmp_path: Path, words: Path) -> None:
        (tmp_path / "words.txt.xz").write_bytes(lzma.compress(words.read_bytes()))
        outcome = run(tmp_path, "shell:cat", source=f"{words}*")  # words.txt is found first
        assert_failed(outcome, "words.txt.xz", ".zst")
        assert outcome.job["failure"]["reason"] == "unsupported_compression"
        assert_nothing_written(tmp_path)

    def test_an_output_that_exists(self, tmp_path: Path, words: Path) -> None:
        out = tmp_path / "out"
        out.mkdir()
        (out / "precious.txt").write_text("keep me")
        outcome = run(tmp_path, "shell:cat", source=words)
        assert_failed(outcome, "name another output or give --overwrite")
        assert [path.name for path in out.iterdir()] == ["precious.txt"]

    @pytest.mark.parametrize("options", [["--overwrite"], []])
    def test_an_output_that_holds_the_input(self, tmp_path: Path, options: list[str]) -> None:
        out = tmp_path / "out"
        out.mkdir()
        for name in ("a.log", "part-m-00000"):
            (out / name).write_text(f"{name}\n")
        outcome = run(tmp_path, "shell:head -1", *options, source=out)
        assert_failed(outcome, f"{out} holds an input of this job, file://{out}/part-m-00000,", "name another output")
        assert {path.name: path.read_text() for path in out.iterdir()} == {
            "a.log": "a.log\n",
            "part-m-00000": "part-m-00000\n",
        }

    def test_an_output_that_is_a_file(self, tmp_path: Path, words: Path) -> None:
        (tmp_path / "out").write_text("I am a file")
        assert_failed(run(tmp_path, "shell:cat", source=words), "out")

    def test_an_output_that_cannot_be_written(self, tmp_path: Path, words: Path) -> None:
        outcome = apollo(
            "run", "--json", "--mapper", "shell:cat", "--reducer", "builtin:identity",
            "--input", words, "--output", "/proc/apollo-out",
        )  # fmt: skip
        assert_failed(outcome, "/proc/apollo-out", "no directory can be made there; name another place")

    def test_overwriting_replaces_and_removes_surplus_parts(self, tmp_path: Path, words: Path) -> None:
        first = run(tmp_path, "shell:tr ' ' '\\n' | sed 's/$/\t1/'", "--reducers", 5, source=words)
        assert first.status == 0, first
        second = run(tmp_path, "shell:tr ' ' '\\n' | sed 's/$/\t1/'", "--reducers", 2, "--overwrite", source=words)
        assert second.status == 0, second
        assert [part.name for part in parts(tmp_path / "out")] == ["part-r-00000", "part-r-00001"]

    def test_a_failed_job_leaves_the_old_output(self, tmp_path: Path, words: Path) -> None:
        assert run(tmp_path, "shell:tr ' ' '\\n' | sed 's/$/\t1/'", source=words).status == 0
        before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
        assert run(tmp_path, "shell:exit 9", "--overwrite", source=words).status == 1
        assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before

    def test_an_input_that_changes_while_the_job_runs(self, tmp_path: Path, words: Path) -> None:
        other = tmp_path / "other.txt"
        other.write_text("a\n")
        mapper = program(
            tmp_path / "meddler.sh",
            f"""
            #!/bin/sh
            cat > /dev/null
            echo changed >> {other}
            echo changed >> {words}
            """,
        )
        outcome = run(tmp_path, mapper, "--input", other, "--workers", 1, source=words)
        assert_failed(outcome, "changed")
        assert outcome.job["failure"]["reason"] == "input_changed"

    @pytest.mark.parametrize("reducers", [1, 1000])
    def test_the_number_of_reducers(self, tmp_path: Path, words: Path, reducers: int) -> None:
        outcome = run(tmp_path, "shell:tr ' ' '\\n' | sed 's/$/\t1/'", "--reducers", reducers, source=words)
        assert outcome.status == 0, outcome
        assert len(parts(tmp_path / "out")) == reducers
        assert sorted(read_parts(tmp_path / "out").splitlines()) == [b"be\t200", b"not\t100", b"or\t100", b"to\t200"]

    @pytest.mark.parametrize(("output_format", "line_end"), [("text", b"\t\n"), ("raw", b"\n")])
    def test_no_reducers_is_a_map_only_job(
        self, tmp_path: Path, words: Path, output_format: str, line_end: bytes
    ) -> None:
        """As text, a line without a tab is a key with an empty value, as Hadoop Streaming writes it."""
        outcome = apollo(
            "run", "--json", "--mapper", "shell:tr a-z A-Z", "--reducers", 0, "--output-format", output_format,
            "--input", words, "--output", tmp_path / "out",
        )  # fmt: skip
        assert outcome.status == 0, outcome
        assert [part.name for part in parts(tmp_path / "out")] == ["part-m-00000"]
        assert read_parts(tmp_path / "out") == words.read_bytes().upper().replace(b"\n", line_end)


class TestUsage:
    @pytest.mark.parametrize(
        "options",
        [
            ["--reducers", "-1"],
            ["--reducers", "1.5"],
            ["--split-size", "many"],
            ["--protocol", "smoke"],
            ["--partitioner", "dice"],
            ["--no-such-option"],
        ],
    )
    def test_a_wrong_option_is_wrong_usage(self, tmp_path: Path, words: Path, options: list[str]) -> None:
        outcome = run(tmp_path, "shell:cat", *options, source=words)
        assert outcome.status == 2, outcome
        assert options[0] in outcome.stderr
        assert "Traceback" not in outcome.stderr

    def test_a_reader_without_permission(self, tmp_path: Path, words: Path) -> None:
        if os.geteuid() == 0:
            words.unlink()
            words.mkdir()  # root reads everything; an empty directory holds no input either way
        else:
            words.chmod(0)
        outcome = run(tmp_path, "shell:cat", source=words)
        assert_failed(outcome, "words.txt")
