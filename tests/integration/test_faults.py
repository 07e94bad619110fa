"""Killed workers, a killed coordinator and Ctrl-C, with real processes."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from support.apollo_cli import Outcome, apollo, command, environment
from support.corpus import coreutils_word_count, read_parts, sorted_lines, write_python_sources
from support.ports import free_port

DEADLINE_SECONDS = 100
SLOW_MAPPER = "shell:tr -s ' \\t\\r\\v\\f' '\\n' | grep -v '^$' | sed 's/$/\t1/'; sleep 0.5"

T = TypeVar("T")


def wait_for(look: Callable[[], T], what: str) -> T:
    """Poll until `look` returns something true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    pytest.fail(f"waited {DEADLINE_SECONDS} s for {what}")


def command_lines() -> dict[int, str]:
    """Every process's command line, by process id; zombies have none."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
    return found


def marked(mark: str) -> list[int]:
    """Processes whose environment or command line holds the mark: what a test has started, and all below it."""
    found = []
    for process, line in command_lines().items():
        try:
            env = Path(f"/proc/{process}/environ").read_bytes()
        except OSError:
            continue
        if process != os.getpid() and (mark in line or mark.encode() in env):
            found.append(process)
    return found


def workers(mark: str) -> list[int]:
    lines = command_lines()
    return [process for process in marked(mark) if "apollo-worker" in lines.get(process, "")]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_python_sources(tmp_path / "corpus.txt", 4 << 20)


@contextmanager
def started(*arguments: object, mark: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command in the background, in a session of its own; it and all that bears its mark is killed at the end."""
    process = subprocess.Popen(
        command(*arguments),
        env=environment(TEST_MARK=mark, **env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for victim in [process.pid, *marked(mark)]:
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.communicate()


def job_options(corpus: Path, out: Path, mark: str) -> list[object]:
    return [
        "--mapper", f"{SLOW_MAPPER}; : {mark}", "--reducer", "builtin:sum", "--reducers", 2, "--split-size", "512KiB",
        "--input", corpus, "--output", out,
    ]  # fmt: skip


class TestRun:
    def test_a_worker_killed_in_the_middle_changes_nothing(self, tmp_path: Path, corpus: Path) -> None:
        mark = f"apollo-test-{os.getpid()}-kill-worker"
        with started("run", "--json", "--workers", 2, *job_options(corpus, tmp_path / "out", mark), mark=mark) as run:
            victims = wait_for(lambda: workers(mark), "workers")
            time.sleep(1.5)
            os.kill(victims[0], signal.SIGKILL)
            _, stderr = run.communicate(timeout=DEADLINE_SECONDS)
            assert run.returncode == 0, stderr.decode()
            assert sorted_lines(read_parts(tmp_path / "out")) == coreutils_word_count(corpus)
            wait_for(lambda: not marked(mark), "every process to end")

    @pytest.mark.parametrize("delay_seconds", [0.3, 1.0, 2.5])
    def test_interrupting_stops_everything(self, tmp_path: Path, corpus: Path, delay_seconds: float) -> None:
        mark = f"apollo-test-{os.getpid()}-int-{delay_seconds}"
        with started("run", "--workers", 2, *job_options(corpus, tmp_path / "out", mark), mark=mark) as run:
            time.sleep(delay_seconds)
            run.send_signal(signal.SIGINT)
            _, stderr = run.communicate(timeout=DEADLINE_SECONDS)
            assert run.returncode == 130, stderr.decode()
            assert b"Traceback" not in stderr
            wait_for(lambda: not marked(mark), "every process to end")
        assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []

    def test_killing_the_command_kills_its_workers(self, tmp_path: Path, corpus: Path) -> None:
        mark = f"apollo-test-{os.getpid()}-kill-run"
        with started("run", "--workers", 2, *job_options(corpus, tmp_path / "out", mark), mark=mark) as run:
            wait_for(lambda: len(workers(mark)) == 2, "two workers")
            time.sleep(1)
            run.kill()
            run.communicate()
            wait_for(lambda: not marked(mark), "every process to end")


class TestUp:
    def test_a_job_outlives_a_killed_coordinator(self, tmp_path: Path, corpus: Path) -> None:
        mark = f"apollo-test-{os.getpid()}-kill-coordinator"
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        up = ["up", "--workers", 2, "--port", port, "--data-dir", tmp_path / "data"]

        def ask(*arguments: object) -> Outcome:
            return apollo("--coordinator", url, *arguments)

        with started(*up, mark=mark) as first:
            wait_for(lambda: ask("jobs").status == 0, "the coordinator")
            submitted = ask("submit", "--json", *job_options(corpus, tmp_path / "out", mark))
            assert submitted.status == 0, submitted
            job = submitted.job["id"]
            time.sleep(1)
            first.kill()
            first.wait()
            with started(*up, mark=mark):
                wait_for(lambda: ask("jobs").status == 0, "the coordinator again")
                waited = ask("wait", "--json", job)
                assert waited.status == 0, waited
                assert waited.job["status"] == "succeeded"
                assert sorted_lines(read_parts(tmp_path / "out")) == coreutils_word_count(corpus)

    def test_a_log_has_every_line_once_over_a_killed_coordinator(self, tmp_path: Path) -> None:
        mark = f"apollo-test-{os.getpid()}-kill-logs"
        port = free_port()
        up = ["up", "--workers", 1, "--port", port, "--data-dir", tmp_path / "data"]
        (tmp_path / "in").write_text("one line\n")
        mapper = f"shell:cat; for i in $(seq 80); do echo line $i >&2; sleep 0.1; done; : {mark}"

        def log() -> str:
            return "".join(path.read_text() for path in sorted((tmp_path / "data" / "logs").glob("*/*-m-*/*")))

        def ask(*arguments: object) -> Outcome:
            return apollo("--coordinator", f"http://127.0.0.1:{port}", *arguments)

        with started(*up, mark=mark) as first:
            wait_for(lambda: ask("jobs").status == 0, "the coordinator")
            job = ["--mapper", mapper, "--reducers", 0, "--input", tmp_path / "in", "--output", tmp_path / "out"]
            submitted = ask("submit", "--json", *job)
            assert submitted.status == 0, submitted
            wait_for(lambda: "line 10\n" in log(), "some of the log")
            first.kill()
            first.wait()
            with started(*up, mark=mark):
                wait_for(lambda: ask("jobs").status == 0, "the coordinator again")
                assert ask("wait", submitted.job["id"]).status == 0
                assert log() == "".join(f"line {number}\n" for number in range(1, 81))

    def test_a_second_one_on_the_same_data_is_refused(self, tmp_path: Path) -> None:
        mark = f"apollo-test-{os.getpid()}-second"
        port = free_port()
        with started("up", "--workers", 1, "--port", port, "--data-dir", tmp_path / "data", mark=mark):
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: apollo("--coordinator", url, "jobs").status == 0, "the coordinator")
            second = apollo("up", "--workers", 1, "--port", free_port(), "--data-dir", tmp_path / "data")
            assert second.status == 1, second
            assert str(tmp_path / "data") in second.stderr
            assert "Traceback" not in second.stderr
