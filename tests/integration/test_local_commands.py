"""`apollo demo` and `apollo up` as a user meets them."""

import os
import pty
import re
import socket
import sys
from pathlib import Path

import pytest

from apollo_client.cli.demo import gather_sources, is_of_demo
from apollo_common.storage.staging import Staging
from apollo_worker.sandbox.sandbox import establish
from support.apollo_cli import apollo, command, environment
from support.coordinator_process import CoordinatorProcess, wait_for
from support.corpus import coreutils_word_count, read_parts, sorted_lines
from support.leftovers import Scene
from support.ports import free_port
from support.tokens import bearer, tokens_file


def test_the_demo_counts_as_coreutils_do(tmp_path: Path) -> None:
    Staging().create(tmp_path / "apollo-demo-output/part-r-00000")  # as one that was killed leaves it
    outcome = apollo("demo", cwd=tmp_path)
    assert outcome.status == 0, outcome
    gather_sources(tmp_path / "source.txt")
    expected = coreutils_word_count(tmp_path / "source.txt")
    assert sorted_lines(read_parts(tmp_path / "apollo-demo-output")) == expected
    top = max(expected.splitlines(), key=lambda line: int(line.rpartition(b"\t")[2]))
    word, _, count = top.decode().rpartition("\t")
    assert re.search(rf"{int(count):,}\s+{re.escape(word)}\n", outcome.stdout), outcome.stdout
    assert str(tmp_path / "apollo-demo-output") in outcome.stdout
    assert is_of_demo(tmp_path / "apollo-demo-output")  # another one may replace it


def test_the_demo_leaves_the_results_of_other_jobs_alone(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("to\nbe\nto\n")
    output = tmp_path / "apollo-demo-output"  # where a demo puts its own
    options = ["--mapper", "shell:cat", "--reducer", "builtin:count", "--input", "in.txt", "--output", output]
    assert apollo("run", *options, "--name", "demo", cwd=tmp_path).status == 0
    for kept in ("with", "without"):
        outcome = apollo("demo", cwd=tmp_path)
        assert (outcome.status, outcome.stdout) == (1, ""), kept
        assert str(output) in outcome.stderr
        assert "Name a directory that does not exist yet with --output." in outcome.stderr
        assert read_parts(output) == b"be\t1\nto\t2\n"
        (output / "_SUCCESS").unlink(missing_ok=True)


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is made of Linux's own parts")
@pytest.mark.parametrize("sandbox", [None, "require"], ids=["by default", "in the sandbox"])
def test_ones_own_programs_reach_what_one_reaches(tmp_path: Path, sandbox: str | None) -> None:
    """A script of before, that reads its table by an absolute path and writes beside it."""
    (tmp_path / "in.txt").write_text("a\n")
    (tmp_path / "table").write_text("b\n")
    options = ["--reducer", "builtin:count", "--input", tmp_path / "in.txt", "--output", tmp_path / "out"]
    mapper = f"shell:cat {tmp_path}/table && cat > {tmp_path}/seen"
    env = {"APOLLO_SANDBOX": sandbox} if sandbox else {}
    outcome = apollo("run", "--mapper", mapper, *options, "--max-attempts", 1, **env)
    if sandbox:
        assert outcome.status == 1, outcome
        assert "Permission denied" in outcome.stderr
        assert not (tmp_path / "seen").exists()
    else:
        assert outcome.status == 0, outcome
        assert read_parts(tmp_path / "out") == b"b\t1\n"
        assert (tmp_path / "seen").read_text() == "a\n"


def test_a_terminal_gets_bars(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("to\nbe\n")
    options = ["--mapper", "shell:echo I was here >&2; cat", "--reducer", "builtin:count", "--input", "words.txt"]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.execve(command()[0], command("run", "--logs", *options, "--output", "out"), environment(TERM="xterm"))
    shown = b""
    try:
        while chunk := os.read(terminal, 1024):
            shown += chunk
    except OSError:  # how a terminal says that the last writer has left
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, shown
    assert b"map" in shown
    assert b"\x1b[" in shown
    assert b"1/1" in shown
    assert b"-m-00000-0 | I was here" in shown


def test_what_programs_say_is_shown_while_they_run_and_what_they_count_at_the_end(scene: Scene) -> None:
    (scene.given / "words.txt").write_text("to\nbe\n")
    seen = scene.given / "seen"
    says = f"echo I wait >&2; while ! test -e {seen}; do sleep 0.05; done; cat; printf 'no end' >&2"
    counts = "echo reporter:counter:words,short,2000 >&2; cat"
    run = scene.start(
        "run", "--logs", "--json", "--mapper", f"shell:{says}", "--reducer", f"shell:{counts}",
        "--input", scene.given / "words.txt", "--output", scene.root / "out",
    )  # fmt: skip
    assert run.stderr is not None
    lines = iter(run.stderr.readline, b"")
    assert next(line for line in lines if b"|" in line).endswith(b"-m-00000-0 | I wait\n")
    seen.touch()
    out, rest = run.communicate(timeout=60)
    assert run.returncode == 0, rest
    said = rest.decode().splitlines()
    assert [line.partition(" | ")[2] for line in said if " | " in line] == ["no end"]
    assert said[-2:] == ["Counted by the programs:", "  words: short: 2,000"]
    assert all(line.startswith(b"{") for line in out.splitlines())  # no line of a log between the documents


def test_what_programs_say_is_not_shown_unasked(scene: Scene) -> None:
    (scene.given / "words.txt").write_text("to\n")
    mapper = "shell:echo I was here >&2; cat"
    options = ["--reducer", "builtin:count", "--input", scene.given / "words.txt", "--output", scene.root / "out"]
    done = scene.apollo("run", "--mapper", mapper, *options)
    assert done.status == 0, done
    assert "I was here" not in done.stderr
    assert "Counted" not in done.stderr


def sandbox_of_worker(up: CoordinatorProcess, user: str = "") -> str:
    """What the API tells of it, once it is there."""
    headers = bearer(user) if user else {}
    (worker,) = wait_for(lambda: up.request("GET", "/workers", headers=headers), "a worker")
    return str(worker["sandbox"])


def said_at_first(directory: Path) -> str:
    """What an `up` has said, once it has said how to go on."""
    log = directory / "coordinator.log"
    return wait_for(lambda: text if "apollo submit" in (text := log.read_text()) else "", "the first words")


class TestUp:
    def test_a_port_that_is_taken(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            outcome = apollo("up", "--port", port, "--data-dir", tmp_path / "data")
        assert outcome.status == 1, outcome
        assert outcome.stderr == f"apollo: Port {port} of 127.0.0.1 is in use; choose another one with --port.\n"

    def test_beyond_loopback_a_token_is_asked_for(self, tmp_path: Path) -> None:
        outcome = apollo("up", "--host", "0.0.0.0", "--data-dir", tmp_path / "data")
        assert outcome.status == 2, outcome
        assert "APOLLO_TOKEN" in outcome.stderr

    def test_on_loopback_the_token_that_commands_use_is_not_asked_for(self, tmp_path: Path) -> None:
        """Whoever reaches it is this machine's user, and the programs are their own."""
        with CoordinatorProcess(tmp_path / "up", {"APOLLO_TOKEN": "of-another-coordinator"}, workers=1) as up:
            assert up.request("GET", "/jobs") == []
            assert sandbox_of_worker(up) == "off"
            assert "APOLLO_TOKEN is for commands and is not asked for on 127.0.0.1." in said_at_first(tmp_path / "up")

    def test_on_loopback_a_file_of_tokens_is_and_confines_the_programs(self, tmp_path: Path) -> None:
        """They may be others' then."""
        file = tokens_file(tmp_path / "tokens")
        with CoordinatorProcess(tmp_path / "up", {"APOLLO_TOKENS_FILE": str(file)}, workers=1) as up:
            assert up.request("GET", "/jobs")["status"] == 401
            assert sandbox_of_worker(up, user="vera") == establish("prefer").description != "off"
            assert "APOLLO_TOKEN " not in said_at_first(tmp_path / "up")

    def test_a_data_directory_that_holds_the_users_own_files(self, tmp_path: Path) -> None:
        """A coordinator would sweep there."""
        own = [tmp_path / name for name in ("logs/2024/app.log", "secrets/prod.json", "workers/mine/a")]
        for path in own:
            path.parent.mkdir(parents=True)
            path.write_text("keep me")
        outcome = apollo("up", "--port", free_port(), "--data-dir", tmp_path)
        assert outcome.status == 1, outcome
        assert f"{tmp_path}/logs is not of a coordinator" in outcome.stderr
        assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == own

    @pytest.mark.parametrize("folder", ["/proc/apollo", "/dev/null/apollo"])
    def test_a_data_directory_that_cannot_be(self, folder: str) -> None:
        outcome = apollo("up", "--port", 14799, "--data-dir", folder)
        assert outcome.status in (1, 2), outcome
        assert folder in outcome.stderr
        assert "--data-dir" in outcome.stderr
